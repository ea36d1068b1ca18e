"""One way to run a transaction on either engine.

The work of a transaction is a plain function of a SQLAlchemy `Connection`. SQLite runs it in
its one thread, PostgreSQL on the event loop through SQLAlchemy's bridge to asyncpg.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import asyncpg
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sinks.sql.errors import RightMissing, is_transient
from sinks.sql.statements import create_postgres_types
from sinks.sql.tables import METADATA

T = TypeVar("T")

#: Seconds that SQLite waits for another process's lock before the attempt counts as failed
#: and is told in the log; a stop waits no longer.
BUSY_SECONDS = 5
#: Seconds after which PostgreSQL ends the transaction of a process that stands still in it,
#: so that the row it has locked is free for the partition's new owner.
IDLE_IN_TRANSACTION_SECONDS = 10

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

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """Which engine it is."""

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

    PostgreSQL's answer to one statement is waited for `statement_seconds`, or for ever; for
    `statements.insert_rows` it must be one that `takes_batches`, which raises `RightMissing` when
    the user may make no temporary types.
    """
    if url.startswith("sqlite:"):
        return SqliteDatabase(url)
    engine = postgres_engine(url, statement_seconds)
    if takes_batches:
        event.listen(engine.sync_engine, "connect", _make_types)
    return PostgresDatabase(engine)


class _Job(NamedTuple):
    work: Callable[[Connection], Any]
    result: Future[Any]


class SqliteDatabase:
    """A SQLite file, written by one thread of its own: SQLite takes one writer at a time.

    What waits for its turn shares a transaction, for each costs as much as some fifty rows. Its
    parts know nothing of one another: when it fails, each has one of its own.
    """

    dialect: Literal["sqlite", "postgresql"] = "sqlite"

    def __init__(self, url: str) -> None:
        self._engine = sqlite_engine(url)
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

    dialect: Literal["sqlite", "postgresql"] = "postgresql"

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def run(self, work: Callable[[Connection], T]) -> T:
        """See `Database.run`."""
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        """See `Database.close`."""
        await self._engine.dispose()


def sqlite_engine(url: str) -> Engine:
    """Return an engine whose transactions take the write lock when they begin.

    As with PostgreSQL, its errors tell no values: they are logged.

    A transaction that reads first and writes later fails at once when another wrote meanwhile,
    whatever the timeout says; one that begins with the lock waits for its turn.
    """
    engine = create_engine(url, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def postgres_engine(url: str, statement_seconds: float | None) -> AsyncEngine:
    """Return an engine with as many connections as a worker has partitions of one topic.

    No `pool_pre_ping`: it costs a fifth of the speed of small batches, and a connection that
    ended while idle is one attempt that `Patience` makes again.
    """
    address = make_url(url).set(drivername="postgresql+asyncpg")
    if mode := address.query.get("sslmode"):  # as libpq and hosts of databases call it
        address = address.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return create_async_engine(
        address,
        hide_parameters=True,
        pool_size=4,
        max_overflow=0,
        pool_recycle=1800,
        connect_args={
            "timeout": 5,
            "command_timeout": statement_seconds,
            "server_settings": {
                "application_name": "headrace",
                "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_SECONDS * 1000),
            },
        },
    )


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN would not be IMMEDIATE
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(pragma)


def _make_types(connection: Any, _record: object) -> None:
    script = create_postgres_types(METADATA.sorted_tables)
    try:
        connection.run_async(lambda session: session.execute(script))
    except asyncpg.InsufficientPrivilegeError as error:
        raise RightMissing(
            f"PostgreSQL refuses types for batches ({error}): as its administrator, run "
            "`GRANT TEMPORARY ON DATABASE` for this database and user"
        ) from error


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
