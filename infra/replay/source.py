"""A file of recorded events, or standard input: opened, unpacked, and its format recognised."""

import gzip
import io
import stat
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO

from infra.errors import UserError
from infra.replay.csv_events import read_rows
from infra.replay.csv_header import Mapped, header_in
from infra.replay.json_events import is_document, read_document, read_json_lines
from infra.replay.recorded import Recorded
from infra.replay.rejects import unpacked
from infra.replay.renaming import renaming
from infra.replay.texts import open_text, read_lines

STANDARD_INPUT = Path("-")

Counted = Literal["line", "event"]

_BUFFER_BYTES = 256 * 1024
_GZIP = b"\x1f\x8b"
_LINE_SUFFIXES = frozenset({".jsonl", ".ndjson"})
_CSV_SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".psv"})


class Source:
    """Events of one file, read once and from the beginning; memory does not grow with it.

    `name` is the file as the user knows it, `counted` what the numbers of its events count.
    """

    def __init__(self, path: Path, packed: "io.BufferedReader[Any]", mapped: Mapped) -> None:
        self.name = "standard input" if path == STANDARD_INPUT else str(path)
        self.counted: Counted = "line"
        plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
        self._suffix = plain.suffix.lower()
        self._packed = packed
        self._mapped = mapped
        self._text: TextIO | None = None

    @property
    def position(self) -> int:
        """How many bytes of the file, packed as it is, have been read; 0 for a pipe."""
        return self._packed.tell() if self._packed.seekable() else 0

    def events(self) -> Iterator[Recorded]:
        """Yield the events in order; `UserError` where reading fails."""
        number = 0
        try:
            for event in self._events():
                number = event.line
                yield event
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise UserError(
                f"{self.name} cannot be read on after {self.counted} {number:,}: {error}"
            ) from error

    def _events(self) -> Iterator[Recorded]:
        # Kept, since it closes the file when it is deleted.
        (self._text, start) = open_text(self.name, _unpacked(self._packed))
        lines = read_lines(self._text)
        if self._is_csv(start):
            yield from read_rows(self.name, lines, self._mapped)
            return
        if self._suffix not in _LINE_SUFFIXES and is_document(start):
            self.counted = "event"
            found = read_document(self.name, self._text)
        else:
            found = read_json_lines(lines)
        rename = renaming(self._mapped)
        for recorded in found:
            for event in unpacked(recorded):
                yield event if event.problem else event._replace(data=rename(event.data))

    def _is_csv(self, start: str) -> bool:
        if self._suffix in _CSV_SUFFIXES:
            return True
        if self._suffix == ".json" or self._suffix in _LINE_SUFFIXES:
            return False
        return not start.lstrip().startswith(("{", "[")) and header_in(start, self._mapped)


@contextmanager
def open_source(path: Path, mapped: Mapped) -> Iterator[Source]:
    """Open a file, or standard input for `-`; `UserError` when it cannot be read."""
    # The raw file where there is one: a thread that still waits for a line at the end of the
    # process would hold the lock of Python's own buffer, and Python needs that to end.
    standard: Any = sys.stdin.buffer
    try:
        raw: Any = (
            getattr(standard, "raw", standard)
            if path == STANDARD_INPUT
            else path.open("rb", buffering=0)
        )
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    with io.BufferedReader(raw, _BUFFER_BYTES) as file:
        yield Source(path, file, mapped)


def total_bytes(paths: Sequence[Path]) -> int | None:
    """Return the size of all files together; None when one is a pipe or standard input."""
    total = 0
    for path in paths:
        found = None if path == STANDARD_INPUT else path.stat()
        if found is None or not stat.S_ISREG(found.st_mode):
            return None
        total += found.st_size
    return total


def _unpacked(packed: "io.BufferedReader[Any]") -> BinaryIO:
    is_packed = packed.peek(len(_GZIP)).startswith(_GZIP)
    # Not within another buffer: that would drop what was unpacked before an error.
    return gzip.GzipFile(fileobj=packed) if is_packed else packed  # type: ignore[return-value]
