"""A SQLite file that another process holds, or whose disk is full."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sinks.sql import engine
from sinks.sql.errors import DatabaseUnavailable
from sinks.sql.migrate import upgrade
from sinks.sql.tables import EventRow
from sinks.sql.writer import Writer, open_writer
from tests.contract.sinks import samples
from tests.contract.sinks.samples import TOPIC, event_at, refuse_nothing
from tests.fixtures.waiting import eventually_async
from tests.integration.sinks.ledger import check_exact, write_all

pytestmark = pytest.mark.fault


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the file of a migrated database."""
    path = tmp_path / "headrace.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
async def writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Writer]:
    """Give a writer that owns partition 0 and loses patience with a lock soon."""
    pragmas = [*engine._SQLITE_PRAGMAS, "PRAGMA busy_timeout = 50"]  # noqa: SLF001
    monkeypatch.setattr(engine, "_SQLITE_PRAGMAS", pragmas)
    writer = await samples.open_for_test(f"sqlite:///{path}")
    await writer.assign(TOPIC, 0)
    yield writer
    await writer.close()


async def test_a_lock_of_another_process_is_waited_for_and_told(
    path: Path, writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    """The sentence is there for readiness while it lasts, and once in the log."""
    caplog.set_level(logging.WARNING, "sinks.sql")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    rows = {EventRow: [event_at(0)]}
    writing = asyncio.create_task(writer.write(TOPIC, 0, 1, rows, refuse_nothing))

    await eventually_async(lambda: writer.problem, within_seconds=10, what="the trouble is told")
    assert writer.problem == "Another process holds the lock of the database file"
    holder.execute("COMMIT")
    holder.close()
    await writing

    assert await writer.assign(TOPIC, 0) == 1
    assert not writer.problem
    told = [record.getMessage() for record in caplog.records]
    assert told[0].startswith("Another process holds the lock of the database file; retrying")
    assert told[1].startswith("The database accepts writes again, after")
    assert len(told) == 2


async def test_a_stop_ends_the_waiting_and_nothing_was_written(path: Path, writer: Writer) -> None:
    """The partition is where it was, so the batch is read again."""
    stopping = asyncio.Event()
    url = f"sqlite:///{path}"
    other = await open_writer(url, app="test", cluster_id="cluster", should_stop=stopping.is_set)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    rows = {EventRow: [event_at(0)]}
    writing = asyncio.create_task(other.write(TOPIC, 0, 1, rows, refuse_nothing))
    await eventually_async(lambda: other.problem, within_seconds=10, what="the trouble is told")
    stopping.set()

    with pytest.raises(DatabaseUnavailable, match=r"holds the lock.*stopping without it"):
        await writing
    holder.execute("COMMIT")
    holder.close()
    await other.close()

    assert await writer.assign(TOPIC, 0) == 0


async def test_a_full_disk_is_waited_for_until_there_is_space(path: Path, writer: Writer) -> None:
    """No part of a batch is there meanwhile, and all of it afterwards."""
    pages = await _limit_pages(writer, 1)  # SQLite keeps to what the file has already
    await _limit_pages(writer, pages + 8)
    writing = asyncio.create_task(write_all(writer, 0, 500, seed=1))

    await eventually_async(lambda: writer.problem, within_seconds=20, what="the trouble is told")
    assert writer.problem == (
        "The disk of the database is full: free some space, nothing else is needed"
    )
    ((stored,),) = await samples.query(
        f"sqlite:///{path}", "SELECT next_offset FROM consumer_offsets"
    )
    await check_exact(f"sqlite:///{path}", [0], stored)
    await _limit_pages(writer, 1_000_000)
    await writing

    assert stored < 500
    await check_exact(f"sqlite:///{path}", [0], 500)


async def _limit_pages(writer: Writer, pages: int) -> int:
    """Let the database grow to so many pages, as a full disk would; return the limit."""
    return await writer.database.run(  # the limit is of its connection
        lambda connection: int(
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}").scalar_one()
        )
    )
