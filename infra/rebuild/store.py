"""Rebuilt rows into SQL: newer revisions win, as with the sinks, and what no events make goes."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, tuple_

from infra.audit.difference import moment
from sinks.sql.statements import Row, insert_rows, kind_of

#: Keys of one `IN`.
_AT_ONCE = 500


def store(connection: Connection, table: Table, rows: Iterable[Row], gone: Iterable[Row]) -> None:
    """Write rows, and delete those with the keys `gone`."""
    key = list(table.primary_key)
    times = [kind_of(column).is_time for column in key]
    for some in _parts([_key(values, times) for values in sorted(gone)]):
        connection.execute(delete(table).where(tuple_(*key).in_(some)))
    # By key, so that we and a sink never wait for each other in a circle.
    if ordered := sorted(rows, key=lambda row: row[: len(key)]):
        insert_rows(connection, table, ordered)


def _key(values: Row, times: Sequence[bool]) -> tuple[Any, ...]:
    return tuple(
        moment(value) if is_time else value for value, is_time in zip(values, times, strict=True)
    )


def _parts(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
