"""Open a file of recorded events, or standard input; decompress it and detect its format."""

import gzip
import io
import stat
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO

from headrace.errors import UserError
from headrace.traffic.replay.csv_events import read_rows
from headrace.traffic.replay.csv_header import FieldMap, starts_with_header
from headrace.traffic.replay.field_map import make_renamer
from headrace.traffic.replay.json_events import is_document, read_document, read_json_lines
from headrace.traffic.replay.recorded_event import RecordedEvent
from headrace.traffic.replay.rejects import unwrap_rejects
from headrace.traffic.replay.text_files import open_text, read_lines

STANDARD_INPUT = Path("-")

#: What the number of an event refers to: a line of a file, or an event of a JSON document.
Unit = Literal["line", "event"]

_BUFFER_BYTES = 256 * 1024
_GZIP = b"\x1f\x8b"
_LINE_SUFFIXES = frozenset({".jsonl", ".ndjson"})
_CSV_SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".psv"})


class Source:
    """The events of one file, which can be read once. `name` is its name in messages."""

    def __init__(self, path: Path, file: "io.BufferedReader[Any]", field_map: FieldMap) -> None:
        self.name = "standard input" if path == STANDARD_INPUT else str(path)
        self.unit: Unit = "line"
        plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
        self._suffix = plain.suffix.lower()
        self._file = file
        self._field_map = field_map
        self._text: TextIO | None = None

    @property
    def position(self) -> int:
        """The number of bytes read, before decompression; 0 for a pipe."""
        return self._file.tell() if self._file.seekable() else 0

    def events(self) -> Iterator[RecordedEvent]:
        """Yield the events in order; raises `UserError` if reading fails."""
        number = 0
        try:
            for event in self._events():
                number = event.line
                yield event
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise UserError(
                f"{self.name} cannot be read after {self.unit} {number:,}: {error}"
            ) from error

    def _events(self) -> Iterator[RecordedEvent]:
        # Keep a reference: it closes the file when it is deleted.
        (self._text, start) = open_text(self.name, _decompressed(self._file))
        lines = read_lines(self._text)
        if self._is_csv(start):
            yield from read_rows(self.name, lines, self._field_map)
            return
        if self._suffix not in _LINE_SUFFIXES and is_document(start):
            self.unit = "event"
            found = read_document(self.name, self._text)
        else:
            found = read_json_lines(lines)
        rename = make_renamer(self._field_map)
        for recorded in found:
            for event in unwrap_rejects(recorded):
                yield event if event.problem else event._replace(data=rename(event.data))

    def _is_csv(self, start: str) -> bool:
        if self._suffix in _CSV_SUFFIXES:
            return True
        if self._suffix == ".json" or self._suffix in _LINE_SUFFIXES:
            return False
        return not start.lstrip().startswith(("{", "[")) and starts_with_header(
            start, self._field_map
        )


@contextmanager
def open_source(path: Path, field_map: FieldMap) -> Iterator[Source]:
    """Open a file, or standard input for `-`; raises `UserError` if it cannot be read."""
    # Use the raw file if there is one: a thread that is still reading when the process exits would
    # hold the lock of `sys.stdin.buffer`, and Python could not exit.
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
        yield Source(path, file, field_map)


def total_bytes(paths: Sequence[Path]) -> int | None:
    """Return the total size of the files, or None if one is a pipe or standard input."""
    total = 0
    for path in paths:
        found = None if path == STANDARD_INPUT else path.stat()
        if found is None or not stat.S_ISREG(found.st_mode):
            return None
        total += found.st_size
    return total


def _decompressed(file: "io.BufferedReader[Any]") -> BinaryIO:
    is_gzip = file.peek(len(_GZIP)).startswith(_GZIP)
    # Unbuffered: a buffer would discard the data that was decompressed before an error.
    return gzip.GzipFile(fileobj=file) if is_gzip else file  # type: ignore[return-value]
