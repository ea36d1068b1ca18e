"""The `headrace` command, also as `python -m headrace`."""

import gc

# Imports create many long-lived objects, which the default thresholds would scan about a hundred
# times (a fifth of the startup time). Requests and batches are freed by reference counts.
gc.set_threshold(50_000, 20, 100)

from headrace.cli.main import main  # noqa: E402 - after set_threshold

if __name__ == "__main__":
    main()
