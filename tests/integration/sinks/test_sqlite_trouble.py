"""A SQLite file that another process locks, or whose disk is full."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from sinks.sql import engine
from sinks.sql.errors import DatabaseUnavailable
from sinks.sql.tables import EventRow
from sinks.sql.writer import Writer, open_writer
from tests.contract.sinks import samples
from tests.contract.sinks.samples import TOPIC, event_at, expect_no_rejection
from tests.fixtures.migrated import create_migrated
from tests.fixtures.waiting import eventually_async
from tests.integration.sinks.ledger import check_exact, write_all

pytestmark = pytest.mark.fault


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the file of a migrated database."""
    path = tmp_path / "headrace.db"
    create_migrated(f"sqlite:///{path}")
    return path


@pytest.fixture
async def writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Writer]:
    """Yield a writer that owns partition 0, with a short busy timeout."""
    pragmas = [*engine._SQLITE_PRAGMAS, "PRAGMA busy_timeout = 50"]  # noqa: SLF001
    monkeypatch.setattr(engine, "_SQLITE_PRAGMAS", pragmas)
    writer = await samples.open_for_test(f"sqlite:///{path}")
    await writer.assign(TOPIC, 0)
    yield writer
    await writer.close()


async def test_the_writer_waits_for_a_lock_and_reports_it(
    path: Path, writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    """For readiness while it lasts, and once in the log."""
    caplog.set_level(logging.WARNING, "sinks.sql")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    rows = {EventRow: [event_at(0)]}
    writing = asyncio.create_task(writer.write(TOPIC, 0, 1, rows, expect_no_rejection))

    await eventually_async(
        lambda: writer.problem, within_seconds=10, what="the problem is reported"
    )
    assert writer.problem == "Another process holds the lock of the database file"
    holder.execute("COMMIT")
    holder.close()
    await writing

    assert await writer.assign(TOPIC, 0) == 1
    assert not writer.problem
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0].startswith("Another process holds the lock of the database file; retrying")
    assert messages[1].startswith("The database accepts writes again, after")
    assert len(messages) == 2


async def test_a_stop_ends_the_wait_for_a_lock(path: Path, writer: Writer) -> None:
    """Nothing is written and the offset is unchanged."""
    stopping = asyncio.Event()
    url = f"sqlite:///{path}"
    other = await open_writer(url, app="test", cluster_id="cluster", should_stop=stopping.is_set)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    rows = {EventRow: [event_at(0)]}
    writing = asyncio.create_task(other.write(TOPIC, 0, 1, rows, expect_no_rejection))
    await eventually_async(lambda: other.problem, within_seconds=10, what="the problem is reported")
    stopping.set()

    with pytest.raises(DatabaseUnavailable, match=r"holds the lock.*stopped while waiting"):
        await writing
    holder.execute("COMMIT")
    holder.close()
    await other.close()

    assert await writer.assign(TOPIC, 0) == 0


async def test_the_writer_waits_until_the_disk_has_space(path: Path, writer: Writer) -> None:
    """No part of the batch is stored before, and all of it afterwards."""
    pages = await _limit_pages(writer, 1)  # SQLite keeps to what the file has already
    await _limit_pages(writer, pages + 8)
    writing = asyncio.create_task(write_all(writer, 0, 500, seed=1))

    await eventually_async(
        lambda: writer.problem, within_seconds=20, what="the problem is reported"
    )
    assert writer.problem == (
        "The disk of the database is full: free some space; no other action is needed"
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
    """Limit the database to a number of pages, like a full disk; return the limit.

    The batch that is retried may be in the same transaction, and fail it.
    """
    while True:
        with suppress(OperationalError):
            return await writer.database.run(  # the limit is of its connection
                lambda connection: int(
                    connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}").scalar_one()
                )
            )
