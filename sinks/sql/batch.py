"""Prepare the rows of a batch for one table: drop stored ones, deduplicate, validate. Pure.

The rows are pairs `(offset, row)` in ascending order of the source record's offset; a record may
have several rows.
"""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Table

from sinks.sql.statements import Row, Values, encoding_of
from sinks.sql.types import EARLIEST_MICROS, LATEST_MICROS, fits_amount

SourcedRow = tuple[int, Row]


class RejectedRecord(NamedTuple):
    """A record that the database cannot store, and the reason."""

    offset: int
    reason: str


def from_offset(rows: Sequence[SourcedRow], next_offset: int) -> Sequence[SourcedRow]:
    """Return the rows of the records from `next_offset` on; earlier ones are already stored."""
    if not rows or rows[0][0] >= next_offset:
        return rows
    return [row for row in rows if row[0] >= next_offset]


def deduplicate(table: Table, rows: Sequence[SourcedRow]) -> list[SourcedRow]:
    """Return one row per key: the one with the highest revision, or without revisions the first.

    Rows are sorted by key to avoid deadlocks between writers; alerts keep their order, in which
    `seq` is assigned.
    """
    width = len(table.primary_key)  # key columns come first
    names = table.columns.keys()
    revision = names.index("revision") if "revision" in names else None
    chosen: dict[Row, SourcedRow] = {}
    for row in rows:
        key = row[1][:width]
        current = chosen.setdefault(key, row)
        if revision is not None and row[1][revision] > current[1][revision]:
            chosen[key] = row
    return list(chosen.values()) if "seq" in names else [chosen[key] for key in sorted(chosen)]


def find_invalid(table: Table, rows: Sequence[SourcedRow]) -> Iterator[RejectedRecord]:
    """Yield the records that one engine would reject or change, so that both reject the same.

    PostgreSQL cannot store NUL characters, and some SQLite functions end text at them. Times
    outside the years 1 to 9999 cannot be read by Python. Amounts of more than 25 digits fit only
    SQLite's text.
    """
    columns = zip(*(row for _, row in rows), strict=True)  # alerts have no `seq` yet
    for column, values in zip(table.columns, columns, strict=False):
        encoding = encoding_of(column)
        is_invalid: Callable[[Any], bool]
        if encoding.pg_type == "text" and _any_has_nul(values):
            is_invalid, reason = _has_nul, "a NUL character in {name}"
        elif encoding.is_time:
            is_invalid, reason = _is_out_of_range, "{name} is not in the years 1 to 9999: {value}"
        elif encoding.pg_type == "numeric":
            is_invalid, reason = _is_overflow, "numeric field overflow: {name} has over 25 digits"
        else:
            continue
        for (offset, _), value in zip(rows, values, strict=True):
            if value is not None and is_invalid(value):
                yield RejectedRecord(offset, reason.format(name=column.name, value=value))


def _has_nul(value: Any) -> bool:
    return isinstance(value, str) and "\0" in value


def _is_out_of_range(value: int) -> bool:
    return not EARLIEST_MICROS <= value <= LATEST_MICROS


def _is_overflow(value: Decimal) -> bool:
    return not fits_amount(Decimal(value))


def _any_has_nul(values: Values) -> bool:
    """Search the joined texts, which is several times faster than each text."""
    try:
        return "\0" in "".join(filter(None, values))
    except TypeError:  # not text: the database's error is more specific
        return False
