"""Disks that are full, and other reasons why a file cannot be written."""

import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

#: A disk with less is probed by writing; with more it is not full, whatever a quota says.
_SUSPICIOUS_BYTES = 64 * 1024 * 1024
#: What the broker and the database need to go on; a probe writes so much and removes it.
_PROBE_BYTES = 1024 * 1024
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: A disk is looked at no more often than this.
_LOOK_SECONDS = 1.0
#: For so long, what fails is blamed on a disk that was full.
_LATELY_SECONDS = 60.0


def is_full(error: BaseException | None) -> bool:
    """Return True if the error, or what caused it, says that a disk or a quota is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__
    return False


def why_full(folder: Path, *, is_suspect: bool = False) -> str | None:
    """Return the sentence about the full disk of an existing folder; None while it has space.

    Writes 1 MiB for a moment where little is free, and if it is suspect: a quota shows only then.
    """
    probe = folder / f".space.{os.getpid()}"
    try:
        free = os.statvfs(folder)
        is_low = free.f_bavail * free.f_frsize <= _SUSPICIOUS_BYTES
        has_inodes = not free.f_files or free.f_favail > 0
        if has_inodes and not (is_low or is_suspect):
            return None
        probe.write_bytes(bytes(_PROBE_BYTES))
    except OSError as error:
        return sentence(folder) if is_full(error) else None
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return None


def sentence(folder: Path) -> str:
    """Return what an operator reads while the disk of a folder is full."""
    return f"disk full at {folder}: free some space, headrace continues by itself"


def explain(error: OSError, folder: Path) -> str:
    """Return a sentence about a file below `folder` that cannot be written."""
    if is_full(error):
        return sentence(folder)
    where = error.filename or folder
    why = os.strerror(error.errno) if error.errno else str(error)
    if isinstance(error, FileExistsError | NotADirectoryError):
        why = "a directory is needed there, and it is a file"
    return f"{where} cannot be written: {why}"


def write_whole(path: Path, text: str) -> None:
    """Write a file for its owner alone, whole or not at all; make its folder. Raises OSError."""
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


class Space:
    """Whether the disk of a folder is full, looked up at most once a second."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._trouble: str | None = None
        self._look_at = float("-inf")
        self._full_at = float("-inf")

    def trouble(self) -> str | None:
        """Return the sentence about the full disk; None while it has space."""
        now = self._clock()
        if now >= self._look_at:
            is_suspect = now - self._full_at < _LATELY_SECONDS
            self._trouble = why_full(self._folder, is_suspect=is_suspect)
            self._look_at = now + _LOOK_SECONDS
        if self._trouble is not None:
            self._full_at = now
        return self._trouble

    def was_full_lately(self) -> bool:
        """Return True while the disk is full, and for a minute after."""
        return self.trouble() is not None or self._clock() - self._full_at < _LATELY_SECONDS

    def explains(self, error: BaseException) -> bool:
        """Return True if a failure is, or may be, that the disk is full."""
        if is_full(error):
            self._full_at = self._clock()
            self._look_at = float("-inf")
            return True
        return self.was_full_lately()
