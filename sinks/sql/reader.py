"""Reading SQL while others write it, within a time limit."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from sinks.sql.engine import Database, PostgresDatabase
from sinks.sql.errors import TooSlow, is_ended_early
from sinks.sql.postgres import postgres_engine
from sinks.sql.sqlite import sqlite_engine

T = TypeVar("T")

_STATEMENT_SECONDS = 10.0
#: Reads at the same time.
READERS = 4
#: Instructions of SQLite's virtual machine between two looks at the clock: under a millisecond.
_INSTRUCTIONS = 10_000
#: That the server's own time limit is ahead of ours, which costs the connection.
_MARGIN_SECONDS = 0.5
# One statement, so one round trip; local to the transaction, as PgBouncer needs it.
_LIMIT = text(
    "SELECT set_config('statement_timeout', :milliseconds, true), "
    "set_config('transaction_read_only', 'on', true)"
)


def open_reader(
    url: str, statement_seconds: float = _STATEMENT_SECONDS, *, readers: int = READERS
) -> Database:
    """Return the database for reading; connects when first used.

    `run` raises `TooSlow` when a read takes longer than `statement_seconds`. A read whose task is
    cancelled ends at once on either engine. On SQLite a read sees the state at its begin and
    delays no writer, nor does a writer delay it: that is what the write-ahead log is for.
    """
    if url.startswith("sqlite:"):
        return SqliteReader(url, statement_seconds, readers=readers)
    return PostgresReader(url, statement_seconds, readers=readers)


class PostgresReader(PostgresDatabase):
    """A PostgreSQL server that is only read, over a few connections."""

    def __init__(self, url: str, statement_seconds: float, *, readers: int = READERS) -> None:
        super().__init__(
            postgres_engine(url, statement_seconds + 2 * _MARGIN_SECONDS, connections=readers)
        )
        self._seconds = statement_seconds

    async def run(self, work: Callable[[Connection], T]) -> T:
        """See `Database.run`; `TooSlow` when it exceeds the time limit."""

        def limited(connection: Connection) -> T:
            connection.execute(_LIMIT, {"milliseconds": str(round(self._seconds * 1_000))})
            return work(connection)

        try:
            async with asyncio.timeout(self._seconds + _MARGIN_SECONDS) as limit:
                return await super().run(limited)
        except TimeoutError as error:
            if limit.expired():
                raise TooSlow(self._seconds) from error
            raise
        except DBAPIError as error:
            if is_ended_early(error):
                raise TooSlow(self._seconds) from error
            raise


@dataclass(slots=True)
class _Limit:
    """When a read has to end; `at` is of the monotonic clock."""

    at: float
    is_cancelled: bool = False

    def is_over(self) -> bool:
        return self.is_cancelled or time.monotonic() > self.at


class SqliteReader:
    """A SQLite file that is read by a few threads; a write through it fails.

    A read may last `statement_seconds`, waiting for a thread not included; None: for ever.
    """

    def __init__(
        self, url: str, statement_seconds: float | None = None, *, readers: int = READERS
    ) -> None:
        self._seconds = float("inf") if statement_seconds is None else statement_seconds
        pragmas = ("PRAGMA query_only = ON",)
        self._engine = sqlite_engine(url, "BEGIN", pragmas, connections=readers)
        self._threads = ThreadPoolExecutor(readers, thread_name_prefix="sqlite-read")
        self._is_closed = False

    async def run(self, work: Callable[[Connection], T]) -> T:
        """See `Database.run`; `TooSlow` when it exceeds the time limit."""
        limit = _Limit(float("inf"))

        def limited() -> T:
            limit.at = time.monotonic() + self._seconds
            return self._transaction(work, limit)

        try:
            return await self._in_thread(limited)
        except asyncio.CancelledError:
            limit.is_cancelled = True
            raise

    async def close(self) -> None:
        """See `Database.close`; reads that still run end with `TooSlow`."""
        self._is_closed = True
        await self._in_thread(self._engine.dispose)
        self._threads.shutdown()

    def _transaction(self, work: Callable[[Connection], T], limit: _Limit) -> T:
        with self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - for the type checker
            driver.set_progress_handler(lambda: self._is_closed or limit.is_over(), _INSTRUCTIONS)
            try:
                with connection.begin():
                    return work(connection)
            except DBAPIError as error:
                if is_ended_early(error):
                    raise TooSlow(self._seconds) from error
                raise
            finally:
                driver.set_progress_handler(None, 0)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
