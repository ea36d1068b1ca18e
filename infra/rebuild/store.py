"""Rebuilt rows into SQL: newer revisions win, as with the sinks, and what no events make goes."""

from collections.abc import Iterable

from sqlalchemy import Connection, Table, delete, tuple_

from schemas.batched import batched
from sinks.sql.statements import Row, encoding_of, insert_rows
from sinks.sql.types import from_micros

#: Keys of one `IN`.
_AT_ONCE = 500


def store(connection: Connection, table: Table, rows: Iterable[Row], gone: Iterable[Row]) -> None:
    """Write rows, and delete those with the keys `gone`."""
    key = list(table.primary_key)
    is_time = [encoding_of(column).is_time for column in key]
    for some in batched(sorted(gone), _AT_ONCE):
        keys = [
            tuple(from_micros(one) if time else one for one, time in zip(row, is_time, strict=True))
            for row in some
        ]
        connection.execute(delete(table).where(tuple_(*key).in_(keys)))
    # By key, so that we and a sink never wait for each other in a circle.
    if ordered := sorted(rows, key=lambda row: row[: len(key)]):
        insert_rows(connection, table, ordered)
