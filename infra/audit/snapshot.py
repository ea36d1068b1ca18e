"""Reading whole tables as they were at one moment, in a stream."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Select, text

from infra.database import connected
from schemas.headers import Source
from schemas.positions import position
from schemas.settings import DatabaseSettings
from sinks.sql.engine import Database, open_database
from sinks.sql.reader import SqliteReader
from sinks.sql.types import micros

T = TypeVar("T")

#: The columns of `events` that say where an event stands, in the order in which they are applied.
PLACE = ("kafka_partition", "kafka_epoch", "kafka_offset")
#: Rows that are in memory at a time, of each table.
_AT_ONCE = 2_000


class StoppedError(Exception):
    """The reading was cancelled."""


class Snapshot:
    """One moment of the database; rows are counted as they are read."""

    def __init__(
        self, connection: Connection, stop: threading.Event, seen: Callable[[int], None]
    ) -> None:
        self.connection = connection
        self._stop = stop
        self._seen = seen

    def rows(self, query: Select[Any], *, counted: bool = False) -> Iterator[Row[Any]]:
        """Yield the rows of a query, a few in memory at a time; report to `seen` if counted."""
        result = self.connection.execute(query, execution_options={"yield_per": _AT_ONCE})
        for part in result.partitions():
            if self._stop.is_set():
                raise StoppedError
            if counted:
                self._seen(len(part))
            yield from part


async def read_snapshot(
    database: DatabaseSettings, work: Callable[[Snapshot], T], seen: Callable[[int], None]
) -> T:
    """Run `work` in a thread, in one transaction that only reads and holds nobody back.

    `UserError` when the database is not reached or not set up.
    """
    stop = threading.Event()

    def in_transaction(connection: Connection) -> T:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            # What is done with the rows may take its time.
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        return work(Snapshot(connection, stop, seen))

    async def read() -> T:
        async with connected(database, _open) as opened:
            return await opened.run(in_transaction)

    try:
        return await asyncio.to_thread(lambda: asyncio.run(read()))
    finally:
        stop.set()  # cancelled, the thread must end too


def _open(url: str) -> Database:
    if url.startswith("sqlite:"):
        return SqliteReader(url)
    return open_database(url, statement_seconds=None)


def source_of(row: Row[Any], until_ms: int | None = None) -> Source:
    """Return where an event stands, and when: `received_at`, for `events` holds no log time.

    No later than `until_ms`, or now: a server whose clock is ahead must not keep a visit open.
    """
    log_ms = min(
        micros(row.received_at) // 1_000,
        int(time.time() * 1_000) if until_ms is None else until_ms,
    )
    return Source(row.kafka_partition, position(row.kafka_epoch, row.kafka_offset), log_ms)
