"""What a process has logged since it was started, out of a file that holds earlier runs, too."""

import os
import re
from pathlib import Path

_TAIL_BYTES = 16 * 1024
_ENTRY = re.compile(r"[\[(]?\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d")
_ERROR = re.compile(r"\b(ERROR|CRITICAL|FATAL)\b")
_MAX_LENGTH = 300


class RunLog:
    """The part of a log file that the current run of a process has written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin = 0
        self._inode = 0

    def begin(self) -> None:
        """Leave out what the file holds now; the file may be missing."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._begin, self._inode = 0, 0
        else:
            self._begin, self._inode = found.st_size, found.st_ino

    def lines(self) -> list[str]:
        """Return the last lines of this run, at most 16 KiB; none if it has written nothing."""
        try:
            with self._path.open("rb") as log:
                found = os.fstat(log.fileno())
                is_same = found.st_ino == self._inode and found.st_size >= self._begin
                log.seek(max(self._begin if is_same else 0, found.st_size - _TAIL_BYTES))
                return log.read().decode(errors="replace").splitlines()
        except OSError:
            return []

    def reason(self) -> str:
        """Return the line that best says why the process ended; empty if none does.

        The last line, if it is no log entry: the sentence, or the exception, that ended the
        process. Else the last error.
        """
        lines = [
            line.strip()
            for line in self.lines()
            if line.strip() and not line.startswith((" ", "\t", "Traceback"))
        ]
        if not lines:
            return ""
        found = lines[-1]
        if _ENTRY.match(found):
            found = next((line for line in reversed(lines) if _ERROR.search(line)), "")
        return found if len(found) <= _MAX_LENGTH else f"{found[:_MAX_LENGTH]} …"
