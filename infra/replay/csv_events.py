"""Events in CSV: the first line names our fields, with dots for nested ones.

A row that is no CSV becomes an event as it is, for the server to refuse, and takes no other
row with it: after a quote that never ends, reading goes on at the next line.
"""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Self

from infra.errors import UserError
from infra.replay.csv_columns import to_tree
from infra.replay.lines import Line
from infra.replay.recorded import MAX_LINE_BYTES, Recorded

REQUIRED = frozenset({"type", "site_id", "session_id"})


class _Feed:
    """Gives csv the lines of one record, and can take all but the first of them back."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._again: deque[Line] = deque()
        self._taken: list[Line] = []
        self._size = 0

    def begin(self) -> None:
        """Forget the lines of the last record."""
        self._taken = []
        self._size = 0

    @property
    def count(self) -> int:
        """How many lines the record has so far."""
        return len(self._taken)

    @property
    def first(self) -> Line:
        """The record's first line."""
        return self._taken[0]

    def keep_first(self) -> None:
        """Give all lines but the first once more."""
        self._again.extendleft(reversed(self._taken[1:]))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self._taken.append(line)
        self._size += len(line.data)
        if not line.whole or self._size > MAX_LINE_BYTES:
            raise csv.Error(f"a row of over {MAX_LINE_BYTES >> 10} KiB")
        return line.data.decode("utf-8", "surrogateescape")


def is_header(line: bytes) -> bool:
    """Tell whether a line names a field that every event has."""
    try:
        (cells,) = csv.reader([line.decode("utf-8", "replace")])
    except (csv.Error, ValueError):
        return False
    return not REQUIRED.isdisjoint(cell.strip() for cell in cells)


def of_rows(name: str, lines: Iterator[Line]) -> Iterator[Recorded]:
    """Yield an event a row; `UserError` when the first line names none of our fields."""
    feed = _Feed(lines)
    reader = csv.reader(feed, strict=True)
    header = _header(name, reader)
    tree = to_tree(header)
    while True:
        feed.begin()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            row = None
        if row is None or not _fits(row, len(header), feed.count):
            feed.keep_first()
            yield from _as_it_is(feed.first)
        elif row:
            text = tree.text(row) or "{}"
            yield Recorded(feed.first.number, text.encode("utf-8", "surrogateescape"))


def _header(name: str, reader: Iterator[list[str]]) -> list[str]:
    try:
        header = [cell.strip() for cell in next(reader, [])]
    except csv.Error as error:
        raise UserError(f"The first line of {name} is no CSV: {error}") from error
    if header and REQUIRED.isdisjoint(header):
        raise UserError(
            f"The first line of {name} must name the fields, such as type,site_id,session_id,path; "
            "none of the first three is there"
        )
    return header


def _fits(row: Sequence[str], columns: int, lines: int) -> bool:
    """Tell whether a row is one: cells missing at its end are empty, but more are a mistake.

    A row over several lines must be exact, or it is likely that a quote is missing.
    """
    return len(row) == columns if lines > 1 else not any(row[columns:])


def _as_it_is(line: Line) -> Iterator[Recorded]:
    if data := line.data.strip():
        yield Recorded(line.number, data)
