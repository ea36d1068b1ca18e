"""Prepare the rows of a batch for one table: drop stored ones, deduplicate, validate. Pure.

The rows are pairs `(offset, row)` in ascending order of the source record's offset; a record may
have several rows.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Table

from sinks.sql.conversion import are_storable
from sinks.sql.statements import ColumnEncoding, Row, columns_of, encoding_of

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
    columns = columns_of(table)
    if are_storable([row for _, row in rows], columns.texts, columns.checks):
        return  # nearly always
    for offset, row in rows:
        for column, value in zip(table.columns, row, strict=False):  # alerts have no `seq` yet
            if problem := _problem(encoding_of(column), value):
                yield RejectedRecord(offset, problem.format(name=column.name, value=value))


def _problem(encoding: ColumnEncoding, value: Any) -> str | None:
    """Return why a value is rejected, with placeholders; None if it is not."""
    if encoding.pg_type == "text" and isinstance(value, str) and "\0" in value:
        return "a NUL character in {name}"
    if value is None or encoding.fits is None or encoding.fits(value):
        return None
    if encoding.pg_type == "numeric":
        return "numeric field overflow: {name} has over 25 digits"
    return "{name} is not in the years 1 to 9999: {value}"
