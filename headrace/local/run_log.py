"""The log of a process since its last start, in a file that also contains earlier runs."""

import json
import os
import re
from pathlib import Path

_MAX_BYTES = 16 * 1024
_ENTRY = re.compile(r"[\[(]?\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d")
_ERROR = re.compile(r"\b(ERROR|CRITICAL|FATAL)\b")
_MAX_LENGTH = 300


class RunLog:
    """The part of a log file that was written since `start_run`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = 0
        self._inode = 0

    def start_run(self) -> None:
        """Skip the current content of the file, which may be missing."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._start, self._inode = 0, 0
        else:
            self._start, self._inode = status.st_size, status.st_ino

    def lines(self) -> list[str]:
        """Return the last lines of this run, at most 16 KiB."""
        try:
            with self._path.open("rb") as log:
                status = os.fstat(log.fileno())
                is_same = status.st_ino == self._inode and status.st_size >= self._start
                log.seek(max(self._start if is_same else 0, status.st_size - _MAX_BYTES))
                return log.read().decode(errors="replace").splitlines()
        except OSError:
            return []

    def exit_reason(self) -> str:
        """Return the line that explains why the process exited; empty if there is none.

        This is the last line if it is an error message or an exception, or else the last log entry
        of level ERROR or higher.
        """
        lines = [
            _as_text(line.strip())
            for line in self.lines()
            if line.strip() and not line.startswith((" ", "\t", "Traceback"))
        ]
        if not lines:
            return ""
        reason = lines[-1]
        if _ENTRY.match(reason):
            reason = next((line for line in reversed(lines) if _ERROR.search(line)), "")
        return reason if len(reason) <= _MAX_LENGTH else f"{reason[:_MAX_LENGTH]} …"


def _as_text(line: str) -> str:
    """Return an entry in JSON as one in the text format, and any other line as it is."""
    if not line.startswith("{"):
        return line
    try:
        return "{time} {level} {logger}: {message}".format_map(json.loads(line))
    except (ValueError, KeyError, TypeError):
        return line
