"""Reading SQL beside those who write it."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, QueuePool, create_engine, event
from sqlalchemy.engine import make_url

from sinks.sql.engine import BUSY_SECONDS, Database, open_database

T = TypeVar("T")

_STATEMENT_SECONDS = 10.0
#: Reads of SQLite at the same time.
_READERS = 4


def open_reader(url: str) -> Database:
    """Return the database for reading; connects when first used.

    On SQLite a read sees the state at its begin and holds no writer back, nor does a writer
    hold it back: that is what the write-ahead log is for.
    """
    if url.startswith("sqlite:"):
        return SqliteReader(url)
    return open_database(url, statement_seconds=_STATEMENT_SECONDS)


class SqliteReader:
    """A SQLite file that is read by a few threads; a write through it fails."""

    dialect: Literal["sqlite", "postgresql"] = "sqlite"

    def __init__(self, url: str) -> None:
        # `mode=rw`: a file that is missing is an error, and not made here without its tables.
        address = f"file:{quote(make_url(url).database or '')}?mode=rw"
        self._engine = create_engine(
            url,
            hide_parameters=True,
            creator=lambda: sqlite3.connect(
                address, uri=True, timeout=BUSY_SECONDS, check_same_thread=False
            ),
            poolclass=QueuePool,
            pool_size=_READERS,
        )
        event.listen(self._engine, "connect", _only_reads)
        event.listen(self._engine, "begin", _begin)
        self._threads = ThreadPoolExecutor(_READERS, thread_name_prefix="sqlite-read")

    async def run(self, work: Callable[[Connection], T]) -> T:
        """See `Database.run`."""
        return await self._in_thread(lambda: self._transaction(work))

    async def close(self) -> None:
        """See `Database.close`."""
        await self._in_thread(self._engine.dispose)
        self._threads.shutdown()

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            return work(connection)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _only_reads(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only = ON")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
