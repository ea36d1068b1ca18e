"""What of a batch goes to a table: pure functions between the fence and the SQL.

A batch is a list of `(offset, row)`, ascending by the offset of the record that the row is
from; one record may give several rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Table

from sinks.sql.statements import Row, Values, kind_of
from sinks.sql.types import EARLIEST_MICROS, LATEST_MICROS

SourcedRow = tuple[int, Row]


class Refused(NamedTuple):
    """A record that the database cannot store, and why."""

    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class TableBatch:
    """Rows for one table, with the offset that each is from."""

    table: Table
    offsets: Sequence[int]
    rows: Sequence[Row]

    def part(self, start: int, stop: int) -> "TableBatch":
        """Return the rows from `start` up to `stop`."""
        return TableBatch(self.table, self.offsets[start:stop], self.rows[start:stop])


def above_fence(rows: Sequence[SourcedRow], fence: int) -> Sequence[SourcedRow]:
    """Return the rows of records from offset `fence` on."""
    if not rows or rows[0][0] >= fence:
        return rows
    return [row for row in rows if row[0] >= fence]


def table_batch(table: Table, rows: Sequence[SourcedRow]) -> TableBatch | None:
    """Return what of `rows` is to be sent, one row for each key; None when there is nothing.

    As if each row were sent alone: of rows with revisions the highest stays, of others the
    first. Sorted by key, so that two writers never wait for each other in a circle; alerts
    stay as they came, for their numbers tell the order.
    """
    if not rows:
        return None
    chosen = _one_for_each_key(table, rows)
    kept = chosen.values() if "seq" in table.columns else [chosen[key] for key in sorted(chosen)]
    return TableBatch(table, [offset for offset, _ in kept], [row for _, row in kept])


def _one_for_each_key(table: Table, rows: Sequence[SourcedRow]) -> dict[Row, SourcedRow]:
    width = len(table.primary_key)  # keys come first in every table
    chosen: dict[Row, SourcedRow] = {}
    if "revision" not in table.columns:
        for row in rows:
            chosen.setdefault(row[1][:width], row)
        return chosen
    revision = table.columns.keys().index("revision")
    for row in rows:
        key = row[1][:width]
        found = chosen.get(key)
        if found is None or row[1][revision] > found[1][revision]:
            chosen[key] = row
    return chosen


def screen(batch: TableBatch) -> list[Refused]:
    """Return the records that are refused unsent, so that both engines refuse the same.

    PostgreSQL cannot store the NUL character, and SQLite cuts such text at it in places;
    years outside 1 to 9999 fit one engine or the other, and no reader in Python.
    """
    refused: list[Refused] = []
    columns = zip(*batch.rows, strict=True)  # alerts have no `seq` yet
    for column, values in zip(batch.table.columns, columns, strict=False):
        kind = kind_of(column)
        if kind.sent_as == "text" and _holds_nul(values):
            refused += [
                Refused(offset, f"a NUL character in {column.name}")
                for offset, value in zip(batch.offsets, values, strict=True)
                if isinstance(value, str) and "\0" in value
            ]
        elif kind.is_time:
            refused += [
                Refused(offset, f"{column.name} is not in the years 1 to 9999: {value}")
                for offset, value in zip(batch.offsets, values, strict=True)
                if value is not None and not EARLIEST_MICROS <= value <= LATEST_MICROS
            ]
    return refused


def _holds_nul(values: Values) -> bool:
    """Look once through all texts joined, several times faster than through each."""
    try:
        return "\0" in "".join(filter(None, values))
    except TypeError:  # not text at all: the database refuses it, by a better name
        return False
