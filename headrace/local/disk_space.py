"""Detection of full disks, and atomic writes."""

import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

#: Below this free space, a probe file is written, which also detects quotas.
_LOW_SPACE_BYTES = 64 * 1024 * 1024
#: The size of a probe file: the least space with which broker and database can continue.
_PROBE_BYTES = 1024 * 1024
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_CHECK_SECONDS = 1.0
#: For this long after the disk was full, an error may be a consequence of it.
_RECENT_SECONDS = 60.0


def is_full(error: BaseException | None) -> bool:
    """Return True if an error, or one of its causes, is a full disk or an exhausted quota."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__
    return False


def find_full_disk(folder: Path, *, always_probe: bool = False) -> str | None:
    """Return a message if the disk of an existing directory is full, else None.

    If little space is free, or with `always_probe`, write and remove a file of 1 MiB: only a write
    detects an exhausted quota.
    """
    probe = folder / f".space.{os.getpid()}"
    try:
        free = os.statvfs(folder)
        is_low = free.f_bavail * free.f_frsize <= _LOW_SPACE_BYTES
        has_inodes = not free.f_files or free.f_favail > 0
        if has_inodes and not (is_low or always_probe):
            return None
        probe.write_bytes(bytes(_PROBE_BYTES))
    except OSError as error:
        return full_message(folder) if is_full(error) else None
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return None


def full_message(folder: Path) -> str:
    """Return the message that the disk of a directory is full."""
    return f"disk full at {folder}: free some space, then headrace continues by itself"


def explain(error: OSError, folder: Path) -> str:
    """Return the message for a write in `folder` that failed."""
    if is_full(error):
        return full_message(folder)
    where = error.filename or folder
    why = os.strerror(error.errno) if error.errno else str(error)
    if isinstance(error, FileExistsError | NotADirectoryError):
        why = "it is a file, but must be a directory"
    return f"{where} cannot be written: {why}"


def write_atomically(path: Path, text: str) -> None:
    """Write a file that only its owner can read, atomically; create its directory.

    Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        unfinished.touch(0o600)
        unfinished.write_text(text)
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


class DiskSpace:
    """Tracks whether the disk of a directory is full, with at most one check per second."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._problem: str | None = None
        self._check_at = float("-inf")
        self._full_at = float("-inf")

    def problem(self) -> str | None:
        """Return a message if the disk is full, else None."""
        now = self._clock()
        if now >= self._check_at:
            was_full = now - self._full_at < _RECENT_SECONDS
            self._problem = find_full_disk(self._folder, always_probe=was_full)
            self._check_at = now + _CHECK_SECONDS
        if self._problem is not None:
            self._full_at = now
        return self._problem

    def was_recently_full(self) -> bool:
        """Return True if the disk is full, or was within the last minute."""
        return self.problem() is not None or self._clock() - self._full_at < _RECENT_SECONDS

    def may_explain(self, error: BaseException) -> bool:
        """Return True if a full disk may have caused an error."""
        if is_full(error):
            self._full_at = self._clock()
            self._check_at = float("-inf")
            return True
        return self.was_recently_full()
