"""The `headrace` command, also as `python -m headrace`."""

import ctypes
import gc
import sys
from contextlib import suppress

#: `M_MMAP_THRESHOLD` of glibc's `mallopt`, and its default.
_MMAP_THRESHOLD, _MMAP_BYTES = -3, 128 * 1024

# Imports create many long-lived objects, which the default thresholds would scan about a hundred
# times (a fifth of the startup time). Requests and batches are freed by reference counts.
gc.set_threshold(50_000, 20, 100)

# glibc raises this threshold, unless it is set, when a large buffer is freed. From then on it keeps
# buffers as large as fetches and produce requests, and the holes between them (docs/adr/0099).
with suppress(AttributeError, OSError):  # another C library
    ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _MMAP_BYTES)


def main() -> None:
    """Run the command. Ctrl-C ends it without a traceback, also while it is imported."""
    try:
        from headrace.cli.main import main as run  # noqa: PLC0415 - after what is set above

        run()
    except KeyboardInterrupt:
        sys.exit(130)  # the exit code that shells use for SIGINT


if __name__ == "__main__":
    main()
