"""Reads end at their time limit and on cancellation, on both engines."""

import asyncio
import time
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from sinks.sql.errors import ReadTimeout, is_transient
from sinks.sql.reader import open_reader
from tests.fixtures.migrated import create_migrated
from tests.fixtures.waiting import eventually_async

#: Much longer than any test.
_SECONDS = 600


def endless(connection: Connection) -> None:
    """Read until cancelled."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_sleep({_SECONDS})"))
        return
    counting = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    )
    connection.execute(text(counting))


def one(connection: Connection) -> int:
    """Read a single row."""
    return int(connection.execute(text("SELECT 1")).scalar_one())


async def test_a_read_ends_at_its_time_limit(database_url: str) -> None:
    """The next read succeeds."""
    reader = open_reader(database_url, 0.3, readers=1)
    began = time.monotonic()
    try:
        with pytest.raises(ReadTimeout, match=r"longer than 0\.3 s") as ended:
            await reader.run(endless)

        assert is_transient(ended.value)
        assert time.monotonic() - began < _SECONDS / 10
        assert await reader.run(one) == 1
    finally:
        await reader.close()


async def test_the_time_limit_applies_to_the_whole_read(database_url: str) -> None:
    """However short each statement is."""
    short = "SELECT pg_sleep(0.1)"
    if database_url.startswith("sqlite:"):
        numbers = "SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000"
        short = f"WITH RECURSIVE n(i) AS ({numbers}) SELECT max(i) FROM n"  # noqa: S608

    def many(connection: Connection) -> None:
        for _ in range(10 * _SECONDS):
            connection.execute(text(short))

    reader = open_reader(database_url, 0.3, readers=1)
    try:
        with pytest.raises(ReadTimeout):
            await reader.run(many)

        assert await reader.run(one) == 1
    finally:
        await reader.close()


async def test_a_cancelled_read_ends(database_url: str) -> None:
    """It frees its thread or connection long before the time limit."""
    reader, other = (open_reader(database_url, _SECONDS, readers=1) for _ in range(2))
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def long_read(connection: Connection) -> None:
        loop.call_soon_threadsafe(begun.set)
        endless(connection)

    async def none_runs() -> bool:
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE :q"
        query = text(sleeping)
        return await other.run(
            lambda c: c.execute(query, {"q": f"SELECT pg_sleep({_SECONDS})"}).scalar_one() == 0
        )

    try:
        reading = asyncio.create_task(reader.run(long_read))
        await begun.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

        async with asyncio.timeout(_SECONDS / 10):
            assert await reader.run(one) == 1
        if not database_url.startswith("sqlite"):
            await eventually_async(none_runs, within_seconds=20, what="the server has cancelled it")
    finally:
        await reader.close()
        await other.close()


async def test_closing_a_reader_cancels_running_reads(tmp_path: Path) -> None:
    """SQLite's threads could not be joined otherwise."""
    url = f"sqlite:///{tmp_path}/headrace.db"
    create_migrated(url)
    reader = open_reader(url, _SECONDS, readers=1)
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def long_read(connection: Connection) -> None:
        loop.call_soon_threadsafe(begun.set)
        endless(connection)

    reading = asyncio.create_task(reader.run(long_read))
    await begun.wait()
    await reader.close()
    with pytest.raises(ReadTimeout):
        await reading


async def test_a_reader_cannot_write(database_url: str) -> None:
    """Writes fail."""
    reader = open_reader(database_url)
    try:
        with pytest.raises(DBAPIError):
            await reader.run(lambda c: c.execute(text("DELETE FROM alerts")))
    finally:
        await reader.close()
