"""Stream whole tables from one consistent snapshot of the database."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Select, text

from headrace.admin.database import connected
from schemas.headers import Source
from schemas.positions import position
from schemas.settings import DatabaseSettings
from sinks.sql.engine import Database, open_database
from sinks.sql.reader import SqliteReader
from sinks.sql.types import micros

T = TypeVar("T")

#: The columns of an event's position in Kafka; events are applied in this order.
POSITION_COLUMNS = ("kafka_partition", "kafka_epoch", "kafka_offset")
#: Rows that are fetched at a time.
_FETCH_ROWS = 2_000


class ReadCancelledError(Exception):
    """The read was cancelled."""


class Snapshot:
    """A read-only transaction on one snapshot; `on_rows` is called with the number of rows read."""

    def __init__(
        self, connection: Connection, stop: threading.Event, on_rows: Callable[[int], None]
    ) -> None:
        self.connection = connection
        self._stop = stop
        self._on_rows = on_rows

    def rows(self, query: Select[Any], *, counted: bool = False) -> Iterator[Row[Any]]:
        """Stream the rows of a query; call `on_rows` if `counted`."""
        result = self.connection.execute(query, execution_options={"yield_per": _FETCH_ROWS})
        for part in result.partitions():
            if self._stop.is_set():
                raise ReadCancelledError
            if counted:
                self._on_rows(len(part))
            yield from part


async def read_snapshot(
    database: DatabaseSettings, work: Callable[[Snapshot], T], on_rows: Callable[[int], None]
) -> T:
    """Run `work` in a thread, in one read-only transaction that blocks no writers.

    Raises `UserError` if the database cannot be reached or is not set up.
    """
    stop = threading.Event()

    def in_transaction(connection: Connection) -> T:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            # Processing a batch of rows may take longer than the timeout.
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        return work(Snapshot(connection, stop, on_rows))

    async def read() -> T:
        async with connected(database, _open) as opened:
            return await opened.run(in_transaction)

    try:
        return await asyncio.to_thread(lambda: asyncio.run(read()))
    finally:
        stop.set()  # ends the thread if this task is cancelled


def _open(url: str) -> Database:
    if url.startswith("sqlite:"):
        return SqliteReader(url)
    return open_database(url, statement_seconds=None)


def source_of(row: Row[Any], until_ms: int | None = None) -> Source:
    """Return the position of an event, with `received_at` as the log append time.

    The time is at most `until_ms`, or now: a server's clock that is ahead must not keep a visit
    open.
    """
    log_ms = min(
        micros(row.received_at) // 1_000,
        int(time.time() * 1_000) if until_ms is None else until_ms,
    )
    return Source(row.kafka_partition, position(row.kafka_epoch, row.kafka_offset), log_ms)
