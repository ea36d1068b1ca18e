"""Group commit of queued SQLite transactions."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from sinks.sql.engine import SqliteDatabase
from sinks.sql.sqlite import create_file

Work = Callable[[Connection], Any]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """Yield a database with a table of unique numbers."""
    create_file(tmp_path / "numbers.db")
    database = SqliteDatabase(f"sqlite:///{tmp_path}/numbers.db")
    await database.run(
        lambda connection: connection.exec_driver_sql("CREATE TABLE numbers (n PRIMARY KEY)")
    )
    yield database
    await database.close()


def insert(number: int, seen: list[Any] | None = None) -> Work:
    """Return work that inserts and returns a number, and adds its transaction to `seen`."""

    def work(connection: Connection) -> int:
        connection.exec_driver_sql("INSERT INTO numbers VALUES (?)", (number,))
        if seen is not None:
            seen.append(connection.get_transaction())
        return number

    return work


async def stored(database: SqliteDatabase) -> list[int]:
    """Return the numbers in the table."""
    query = "SELECT n FROM numbers ORDER BY n"
    return await database.run(lambda c: list(c.exec_driver_sql(query).scalars()))


@asynccontextmanager
async def held(database: SqliteDatabase) -> AsyncIterator[None]:
    """Block the writer thread."""
    begun, go_on = Event(), Event()

    def hold(_: Connection) -> None:
        begun.set()
        go_on.wait()

    holding = asyncio.ensure_future(database.run(hold))
    await asyncio.to_thread(begun.wait)
    try:
        yield
    finally:
        go_on.set()
        await holding


async def run_queued(database: SqliteDatabase, works: Sequence[Work]) -> list[Any]:
    """Queue all work while the thread is blocked; return the results and errors."""
    async with held(database):
        waiting = asyncio.gather(*(database.run(work) for work in works), return_exceptions=True)
        await asyncio.sleep(0)  # each has queued its work
    return list(await waiting)


async def test_queued_work_shares_a_transaction(database: SqliteDatabase) -> None:
    """In the order of the queue; each caller gets its own result."""
    seen: list[Any] = []

    assert await run_queued(database, [insert(n, seen) for n in range(3)]) == [0, 1, 2]
    assert len(set(seen)) == 1
    assert await stored(database) == [0, 1, 2]


async def test_failed_work_does_not_affect_the_rest_of_its_group(database: SqliteDatabase) -> None:
    """The others are committed; it gets its own error."""
    await database.run(insert(1))

    first, failed, last = await run_queued(database, [insert(0), insert(1), insert(2)])

    assert (first, last) == (0, 2)
    assert "UNIQUE constraint failed" in str(failed)
    assert await stored(database) == [0, 1, 2]


async def test_a_transient_error_is_raised_in_all_callers(database: SqliteDatabase) -> None:
    """The group is not split, because the error concerns the file."""
    calls: list[int] = []

    def busy(_: Connection) -> None:
        calls.append(1)
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY  # as the module does
        raise OperationalError("COMMIT", None, error)

    results = await run_queued(database, [insert(0), busy, insert(2)])

    assert [type(result) for result in results] == [OperationalError] * 3
    assert calls == [1]
    assert await stored(database) == []


async def test_cancelled_work_is_not_started(database: SqliteDatabase) -> None:
    """As after the deadline of a request."""
    async with held(database):
        given_up = asyncio.ensure_future(database.run(insert(0)))
        await asyncio.sleep(0)  # it has queued its work
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)

    assert await stored(database) == []
