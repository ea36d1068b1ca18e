"""The `headrace` command, also as `python -m headrace`."""

import gc
import sys

# Imports create many long-lived objects, which the default thresholds would scan about a hundred
# times (a fifth of the startup time). Requests and batches are freed by reference counts.
gc.set_threshold(50_000, 20, 100)


def main() -> None:
    """Run the command. Ctrl-C ends it without a traceback, also while it is imported."""
    try:
        from headrace.cli.main import main as run  # noqa: PLC0415 - after set_threshold

        run()
    except KeyboardInterrupt:
        sys.exit(130)  # the exit code that shells use for SIGINT


if __name__ == "__main__":
    main()
