"""Logs of bounded size: a process appends to its log, which is copied and emptied under it."""

import os
from contextlib import suppress
from pathlib import Path

#: Of one file; of the logs of a role there are `KEPT` more.
LIMIT_BYTES = 10 * 1024 * 1024
KEPT = 2

_BLOCK_BYTES = 1024 * 1024


def rotate(log: Path, limit_bytes: int = LIMIT_BYTES) -> None:
    """Move the content of a log over the limit to `<log>.1`, that one's to `<log>.2`.

    The writer must append (O_APPEND); it needs to know nothing of this. What fails, as on a full
    disk, leaves the log as it is until the next call.
    """
    with suppress(OSError):
        _rotate(log, limit_bytes)


def _rotate(log: Path, limit_bytes: int) -> None:
    if not log.exists() or log.stat().st_size <= limit_bytes:
        return
    for number in range(KEPT, 1, -1):
        if (newer := _kept(log, number - 1)).exists():
            newer.replace(_kept(log, number))
    with log.open("r+b") as source, _kept(log, 1).open("wb") as copy:
        # To the very end: what is written between here and there is in neither file.
        while block := source.read(_BLOCK_BYTES):
            copy.write(block)
        os.ftruncate(source.fileno(), 0)


def _kept(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")
