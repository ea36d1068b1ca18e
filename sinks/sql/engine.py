"""Run transactions on SQLite or PostgreSQL.

The body of a transaction is a plain function of a SQLAlchemy `Connection`. For SQLite it runs in
a single thread, for PostgreSQL on the event loop through SQLAlchemy's asyncpg dialect.
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
from sinks.sql.sqlite import BUSY_TIMEOUT_SECONDS, sqlite_engine

T = TypeVar("T")

# FULL: commits are synced before the offset is committed to Kafka, so the database is never behind
# the consumer group.
_SQLITE_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}",
    "PRAGMA cache_size = -8192",
    "PRAGMA temp_store = MEMORY",
    # A checkpoint each 16 MB instead of 4, because the same pages are often rewritten.
    "PRAGMA wal_autocheckpoint = 4000",
    # Truncates the WAL after a long reader has let it grow.
    "PRAGMA journal_size_limit = 67108864",
)


class Database(Protocol):
    """A database that runs transactions."""

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction: commit when it returns, roll back when it raises.

        Raises driver errors, which `sinks.sql.errors` classifies.
        """

    async def close(self) -> None:
        """Wait for running transactions and close all connections."""


def open_database(
    url: str, statement_seconds: float | None = 30, *, use_row_types: bool = False
) -> Database:
    """Return the database at `sqlite:///file` or `postgresql://…`; it connects when first used.

    A SQLite file must exist. `statement_seconds` is the timeout of a statement on PostgreSQL;
    None means no timeout. `use_row_types` makes bulk inserts on PostgreSQL twice as fast; `run`
    then raises `InsufficientPrivilege` if the user cannot create temporary types.
    """
    if url.startswith("sqlite:"):
        return SqliteDatabase(url)
    return PostgresDatabase(postgres_engine(url, statement_seconds, use_row_types=use_row_types))


class _Job(NamedTuple):
    work: Callable[[Connection], Any]
    result: Future[Any]


class SqliteDatabase:
    """A SQLite file with one writer thread, because SQLite allows one writer at a time.

    Queued jobs are committed as a group, because a commit costs as much as about fifty rows. If
    the group fails, its jobs are run one by one, unless the error is transient.
    """

    def __init__(self, url: str) -> None:
        # IMMEDIATE takes the write lock at the start. A deferred transaction that reads before it
        # writes fails without waiting (SQLITE_BUSY_SNAPSHOT) if another one wrote in between.
        self._engine = sqlite_engine(url, "BEGIN IMMEDIATE", _SQLITE_PRAGMAS)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")
        self._queue: deque[_Job] = deque()

    async def run(self, work: Callable[[Connection], T]) -> T:
        """See `Database.run`."""
        # First the other tasks that are ready, which decode batches of the same fetch: they become
        # one group.
        await asyncio.sleep(0)
        result: Future[T] = Future()
        self._queue.append(_Job(work, result))
        self._thread.submit(self._run_queued)  # does nothing if the job was run in a group
        return await asyncio.wrap_future(result)

    async def close(self) -> None:
        """See `Database.close`."""
        await asyncio.sleep(0)  # `run` submits the jobs that it has begun with
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()

    def _run_queued(self) -> None:
        jobs = [self._queue.popleft() for _ in range(len(self._queue))]
        jobs = [job for job in jobs if job.result.set_running_or_notify_cancel()]
        if len(jobs) <= 1 or not self._run_group(jobs):
            for job in jobs:
                self._run_group([job])

    def _run_group(self, jobs: Sequence[_Job]) -> bool:
        """Run jobs in one transaction and set their results.

        Return False, with the transaction rolled back, if a single job may have caused the error.
        """
        try:
            with self._engine.begin() as connection:
                results = [job.work(connection) for job in jobs]
        except Exception as error:  # noqa: BLE001 - raised in the callers
            if len(jobs) > 1 and not is_transient(error):
                return False
            for job in jobs:
                job.result.set_exception(error)
        else:
            for job, result in zip(jobs, results, strict=True):
                job.result.set_result(result)
        return True


class PostgresDatabase:
    """A PostgreSQL server, over asyncpg. It is bound to the event loop that first uses it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def run(self, work: Callable[[Connection], T]) -> T:
        """See `Database.run`."""
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        """See `Database.close`."""
        await self._engine.dispose()
