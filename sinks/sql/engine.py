"""One way to run a transaction on either engine.

The work of a transaction is a plain function of a SQLAlchemy `Connection`. SQLite runs it in
its one thread, PostgreSQL on the event loop through SQLAlchemy's bridge to asyncpg.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from sinks.sql.errors import is_transient
from sinks.sql.postgres import postgres_engine
from sinks.sql.sqlite import BUSY_SECONDS, sqlite_engine

T = TypeVar("T")

# FULL: a commit is on disk when Kafka hears of it, so the database never lags the group.
_SQLITE_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}",
    "PRAGMA cache_size = -8192",
    "PRAGMA temp_store = MEMORY",
    # A page that is written again and again is copied to the file once in 16 MB, not in 4.
    "PRAGMA wal_autocheckpoint = 4000",
    # A long reader lets the log grow; this gives the space back afterwards.
    "PRAGMA journal_size_limit = 67108864",
)


class Database(Protocol):
    """A database that runs transactions."""

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction: committed when it returns, rolled back when it raises.

        Raises what the driver raises; `sinks.sql.errors` tells the kinds apart.
        """

    async def close(self) -> None:
        """Wait for work under way and close all connections."""


def open_database(
    url: str, statement_seconds: float | None = 30, *, takes_batches: bool = False
) -> Database:
    """Return the database at `sqlite:///file` or `postgresql://…`; connects when first used.

    A SQLite file must exist. PostgreSQL's answer to one statement is waited for
    `statement_seconds`, or for ever; one that `takes_batches` inserts them twice as fast, and
    raises `RightMissing` when the user may make no temporary types.
    """
    if url.startswith("sqlite:"):
        return SqliteDatabase(url)
    return PostgresDatabase(postgres_engine(url, statement_seconds, takes_batches=takes_batches))


class _Job(NamedTuple):
    work: Callable[[Connection], Any]
    result: Future[Any]


class SqliteDatabase:
    """A SQLite file, written by one thread of its own: SQLite takes one writer at a time.

    What waits for its turn shares a transaction, for each costs as much as some fifty rows. Its
    parts know nothing of one another: when it fails, each has one of its own.
    """

    def __init__(self, url: str) -> None:
        # A transaction that reads first and writes later fails at once, whatever the timeout, when
        # another wrote in between; one that begins with the lock waits for its turn.
        self._engine = sqlite_engine(url, "BEGIN IMMEDIATE", _SQLITE_PRAGMAS)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")
        self._waiting: deque[_Job] = deque()

    async def run(self, work: Callable[[Connection], T]) -> T:
        """See `Database.run`."""
        result: Future[T] = Future()
        self._waiting.append(_Job(work, result))
        self._thread.submit(self._run_waiting)  # finds nothing when it went with others
        return await asyncio.wrap_future(result)

    async def close(self) -> None:
        """See `Database.close`."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()

    def _run_waiting(self) -> None:
        jobs = [self._waiting.popleft() for _ in range(len(self._waiting))]
        jobs = [job for job in jobs if job.result.set_running_or_notify_cancel()]
        if len(jobs) <= 1 or not self._ran_together(jobs):
            for job in jobs:
                self._ran_together([job])

    def _ran_together(self, jobs: Sequence[_Job]) -> bool:
        """Run jobs in one transaction; False, with nothing done, when it may be for one's sake."""
        try:
            with self._engine.begin() as connection:
                results = [job.work(connection) for job in jobs]
        except Exception as error:  # noqa: BLE001 - it belongs to who waits
            if len(jobs) > 1 and not is_transient(error):
                return False
            for job in jobs:
                job.result.set_exception(error)
        else:
            for job, result in zip(jobs, results, strict=True):
                job.result.set_result(result)
        return True


class PostgresDatabase:
    """A PostgreSQL server, over asyncpg; belongs to the event loop that first uses it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def run(self, work: Callable[[Connection], T]) -> T:
        """See `Database.run`."""
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        """See `Database.close`."""
        await self._engine.dispose()
