"""Read-only transactions with a time limit, which do not block writers."""

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
from sinks.sql.errors import ReadTimeout, is_cancelled
from sinks.sql.postgres import postgres_engine
from sinks.sql.sqlite import sqlite_engine

T = TypeVar("T")

_STATEMENT_SECONDS = 10.0
#: The number of concurrent reads.
READERS = 4
#: SQLite virtual machine instructions between two checks of the deadline: under a millisecond.
_INSTRUCTIONS_PER_CHECK = 10_000
#: How much later than `statement_timeout` the client gives up, which closes the connection.
_MARGIN_SECONDS = 0.5
# One statement to save a round trip; local to the transaction because of PgBouncer.
_SET_LIMITS = text(
    "SELECT set_config('statement_timeout', :milliseconds, true), "
    "set_config('transaction_read_only', 'on', true)"
)


def open_reader(
    url: str, statement_seconds: float = _STATEMENT_SECONDS, *, readers: int = READERS
) -> Database:
    """Return a read-only database; it connects when first used.

    `run` raises `ReadTimeout` if a read takes longer than `statement_seconds`. Cancelling the task
    cancels the read. On SQLite, readers and the writer do not block each other (WAL mode), and a
    read sees the snapshot at its start.
    """
    if url.startswith("sqlite:"):
        return SqliteReader(url, statement_seconds, readers=readers)
    return PostgresReader(url, statement_seconds, readers=readers)


class PostgresReader(PostgresDatabase):
    """A PostgreSQL server, read over a small connection pool."""

    def __init__(self, url: str, statement_seconds: float, *, readers: int = READERS) -> None:
        super().__init__(
            postgres_engine(url, statement_seconds + 2 * _MARGIN_SECONDS, connections=readers)
        )
        self._seconds = statement_seconds

    async def run(self, work: Callable[[Connection], T]) -> T:
        """See `Database.run`; raises `ReadTimeout` after the time limit."""

        def limited(connection: Connection) -> T:
            connection.execute(_SET_LIMITS, {"milliseconds": str(round(self._seconds * 1_000))})
            return work(connection)

        try:
            async with asyncio.timeout(self._seconds + _MARGIN_SECONDS) as limit:
                return await super().run(limited)
        except TimeoutError as error:
            if limit.expired():
                raise ReadTimeout(self._seconds) from error
            raise
        except DBAPIError as error:
            if is_cancelled(error):
                raise ReadTimeout(self._seconds) from error
            raise


@dataclass(slots=True)
class _Deadline:
    """The deadline of a read, in seconds of the monotonic clock."""

    at: float
    is_cancelled: bool = False

    def is_over(self) -> bool:
        return self.is_cancelled or time.monotonic() > self.at


class SqliteReader:
    """A SQLite file, read by a small thread pool; writes fail.

    A read may take `statement_seconds` (None: no limit), without the wait for a thread.
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
        """See `Database.run`; raises `ReadTimeout` after the time limit."""
        deadline = _Deadline(float("inf"))

        def limited() -> T:
            deadline.at = time.monotonic() + self._seconds
            return self._transaction(work, deadline)

        try:
            return await self._in_thread(limited)
        except asyncio.CancelledError:
            deadline.is_cancelled = True
            raise

    async def close(self) -> None:
        """See `Database.close`; running reads are cancelled with `ReadTimeout`."""
        self._is_closed = True
        await self._in_thread(self._engine.dispose)
        self._threads.shutdown()

    def _transaction(self, work: Callable[[Connection], T], deadline: _Deadline) -> T:
        with self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - for the type checker
            driver.set_progress_handler(
                lambda: self._is_closed or deadline.is_over(), _INSTRUCTIONS_PER_CHECK
            )
            try:
                with connection.begin():
                    return work(connection)
            except DBAPIError as error:
                if is_cancelled(error):
                    raise ReadTimeout(self._seconds) from error
                raise
            finally:
                driver.set_progress_handler(None, 0)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
