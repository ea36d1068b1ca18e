"""Write rebuilt rows to SQL. Rows with a higher revision win, as in the sinks."""

from collections.abc import Iterable

from sqlalchemy import Connection, Table, delete, tuple_

from schemas.batched import batched
from sinks.sql.statements import Row, insert_rows
from sinks.sql.types import UtcTime, from_micros

#: Keys per `IN`.
_IN_SIZE = 500


def store(
    connection: Connection, table: Table, rows: Iterable[Row], deleted: Iterable[Row]
) -> None:
    """Write rows, and delete those with the primary keys `deleted`."""
    key = list(table.primary_key)
    is_time = [isinstance(column.type, UtcTime) for column in key]
    for batch in batched(sorted(deleted), _IN_SIZE):
        keys = [
            tuple(from_micros(one) if time else one for one, time in zip(row, is_time, strict=True))
            for row in batch
        ]
        connection.execute(delete(table).where(tuple_(*key).in_(keys)))
    # Ordered by key, to avoid deadlocks with the sinks.
    if ordered := sorted(rows, key=lambda row: row[: len(key)]):
        insert_rows(connection, table, ordered)
