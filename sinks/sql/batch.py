"""What of a batch goes to a table: pure functions between the fence and the SQL.

A batch is a list of `(offset, row)`, ascending by the offset of the record that the row is
from; one record may give several rows.
"""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Table

from sinks.sql.statements import Row, Values, kind_of
from sinks.sql.types import EARLIEST_MICROS, LATEST_MICROS, is_amount

SourcedRow = tuple[int, Row]


class Refused(NamedTuple):
    """A record that the database cannot store, and why."""

    offset: int
    reason: str


def above_fence(rows: Sequence[SourcedRow], fence: int) -> Sequence[SourcedRow]:
    """Return the rows of records from offset `fence` on."""
    if not rows or rows[0][0] >= fence:
        return rows
    return [row for row in rows if row[0] >= fence]


def newest_by_key(table: Table, rows: Sequence[SourcedRow]) -> list[SourcedRow]:
    """Return one row for each key, as if each row were sent alone.

    Of rows with revisions the highest stays, of others the first. Sorted by key, so that two
    writers never wait for each other in a circle; alerts stay as they came, for they are
    numbered in that order.
    """
    width = len(table.primary_key)  # keys come first in every table
    names = table.columns.keys()
    revision = names.index("revision") if "revision" in names else None
    chosen: dict[Row, SourcedRow] = {}
    for row in rows:
        key = row[1][:width]
        found = chosen.setdefault(key, row)
        if revision is not None and row[1][revision] > found[1][revision]:
            chosen[key] = row
    return list(chosen.values()) if "seq" in names else [chosen[key] for key in sorted(chosen)]


def screen(table: Table, rows: Sequence[SourcedRow]) -> Iterator[Refused]:
    """Yield the records to refuse unsent, so that both engines refuse the same.

    PostgreSQL cannot store the NUL character, and SQLite cuts such text at it in places;
    years outside 1 to 9999 fit one engine or the other, and no reader in Python; an amount
    over 25 digits fits SQLite's text alone.
    """
    columns = zip(*(row for _, row in rows), strict=True)  # alerts have no `seq` yet
    for column, values in zip(table.columns, columns, strict=False):
        kind = kind_of(column)
        is_bad: Callable[[Any], bool]
        if kind.sent_as == "text" and _holds_nul(values):
            is_bad, reason = _has_nul, "a NUL character in {name}"
        elif kind.is_time:
            is_bad, reason = _is_no_time, "{name} is not in the years 1 to 9999: {value}"
        elif kind.sent_as == "numeric":
            is_bad, reason = _is_no_amount, "numeric field overflow: {name} has over 25 digits"
        else:
            continue
        for (offset, _), value in zip(rows, values, strict=True):
            if value is not None and is_bad(value):
                yield Refused(offset, reason.format(name=column.name, value=value))


def _has_nul(value: Any) -> bool:
    return isinstance(value, str) and "\0" in value


def _is_no_time(value: int) -> bool:
    return not EARLIEST_MICROS <= value <= LATEST_MICROS


def _is_no_amount(value: Decimal) -> bool:
    return not is_amount(Decimal(value))


def _holds_nul(values: Values) -> bool:
    """Look once through all texts joined, several times faster than through each."""
    try:
        return "\0" in "".join(filter(None, values))
    except TypeError:  # not text at all: the database refuses it, by a better name
        return False
