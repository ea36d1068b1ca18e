"""A file of recorded events, or standard input: opened, unpacked, and its format told."""

import gzip
import io
import stat
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from infra.errors import UserError
from infra.replay import csv_events, json_events
from infra.replay.lines import Lines
from infra.replay.recorded import Recorded

STANDARD_INPUT = Path("-")

Counted = Literal["line", "event"]

_BUFFER_BYTES = 256 * 1024
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_SUFFIXES = frozenset({".jsonl", ".ndjson"})


class Source:
    """Events of one file, read once and from the beginning; memory does not grow with it."""

    def __init__(self, name: str, suffix: str, packed: "io.BufferedReader[Any]") -> None:
        #: As the user knows it.
        self.name = name
        #: What the numbers of its events count.
        self.counted: Counted = "line"
        self._packed = packed
        self._file = _unpacked(packed)
        self._suffix = suffix
        self._lines = Lines(self._file)

    @property
    def position(self) -> int:
        """How many bytes of the file, packed as it is, have been read; 0 for a pipe."""
        return self._packed.tell() if self._packed.seekable() else 0

    def events(self) -> Iterator[Recorded]:
        """Yield the events in order; `UserError` where reading fails."""
        try:
            yield from self._recognised()
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(
                f"{self.name} cannot be read on after line {self._lines.number:,}: {error}"
            ) from error

    def _recognised(self) -> Iterator[Recorded]:
        beginning = self._file.peek(_BUFFER_BYTES)
        if beginning.startswith(_BYTE_ORDER_MARK):
            self._file.read(len(_BYTE_ORDER_MARK))
            beginning = beginning.removeprefix(_BYTE_ORDER_MARK)
        if self._is_csv(beginning):
            return csv_events.of_rows(self.name, self._lines)
        if self._suffix not in _LINE_SUFFIXES and json_events.is_document(beginning):
            self.counted = "event"
            return json_events.of_document(self.name, self._file)
        return json_events.of_lines(self._lines)

    def _is_csv(self, beginning: bytes) -> bool:
        if self._suffix == ".csv":
            return True
        if self._suffix == ".json" or self._suffix in _LINE_SUFFIXES:
            return False
        first = beginning.lstrip().partition(b"\n")[0]
        return not first.startswith((b"{", b"[")) and csv_events.is_header(first)


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a file, or standard input for `-`; `UserError` when it cannot be read."""
    if path == STANDARD_INPUT:
        yield Source("standard input", "", _standard_input())
        return
    try:
        file = io.BufferedReader(path.open("rb", buffering=0), _BUFFER_BYTES)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    with file:
        unpacked = path.with_suffix("") if path.suffix.lower() == ".gz" else path
        yield Source(str(path), unpacked.suffix.lower(), file)


def total_bytes(paths: Sequence[Path]) -> int | None:
    """Return the size of all files together; None when one is a pipe or standard input."""
    total = 0
    for path in paths:
        found = None if path == STANDARD_INPUT else path.stat()
        if found is None or not stat.S_ISREG(found.st_mode):
            return None
        total += found.st_size
    return total


def _standard_input() -> "io.BufferedReader[Any]":
    # The raw file where there is one: a thread that still waits for a line at the end of the
    # process would hold the lock of Python's own buffer, and Python needs that to end.
    outer: Any = sys.stdin.buffer
    return io.BufferedReader(getattr(outer, "raw", outer), _BUFFER_BYTES)


def _unpacked(packed: "io.BufferedReader[Any]") -> "io.BufferedReader[Any] | gzip.GzipFile":
    try:
        is_packed = packed.peek(len(_GZIP)).startswith(_GZIP)
    except OSError:  # told with the file's name when it is read
        is_packed = False
    if not is_packed:
        return packed
    # Not within another buffer: that would drop what was unpacked before an error.
    return gzip.GzipFile(fileobj=packed)
