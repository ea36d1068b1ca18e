"""Log rotation by copying and truncating, while the process keeps its log file open."""

import os
from contextlib import suppress
from pathlib import Path

#: The size of a log file; `ROTATED_FILES` more of that size are kept per role.
LIMIT_BYTES = 10 * 1024 * 1024
ROTATED_FILES = 2

_BLOCK_BYTES = 1024 * 1024


def rotate(log: Path, limit_bytes: int = LIMIT_BYTES) -> None:
    """Rotate a log that exceeds the limit to `<log>.1`, and `<log>.1` to `<log>.2`.

    The writer must use O_APPEND. If the rotation fails, as on a full disk, the log stays as it is
    until the next call.
    """
    with suppress(OSError):
        _rotate(log, limit_bytes)


def _rotate(log: Path, limit_bytes: int) -> None:
    if not log.exists() or log.stat().st_size <= limit_bytes:
        return
    for number in range(ROTATED_FILES, 1, -1):
        if (newer := _rotated(log, number - 1)).exists():
            newer.replace(_rotated(log, number))
    with log.open("r+b") as source, _rotated(log, 1).open("wb") as copy:
        # Lines written between the last read and the truncation are lost.
        while block := source.read(_BLOCK_BYTES):
            copy.write(block)
        os.ftruncate(source.fileno(), 0)


def _rotated(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")
