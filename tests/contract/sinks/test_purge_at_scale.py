"""Millions of old events are purged while the sinks write a thousand new ones per second."""

import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, text

from sinks.sql.engine import Database, open_database
from sinks.sql.retention import Retention
from sinks.sql.tables import ConsumerOffsetRow, EventRow, table_of
from sinks.sql.types import from_micros, micros
from sinks.sql.writer import Writer
from tests.contract.sinks.samples import (
    NOON,
    TOPIC,
    event_at,
    expect_no_rejection,
    open_for_test,
)
from tests.fixtures.migrated import create_migrated

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7_200)]

#: Old rows of `events`. Ten million take about ten times as long.
ROWS = int(os.environ.get("HEADRACE_TEST_PURGED_ROWS") or 1_000_000)
EVENTS_PER_SECOND = 1_000
_BATCH = 100
_NOW = from_micros(NOON) + timedelta(days=100)
#: The old events are of ten sites, and of 90 days that end ten days ago.
_COLUMNS = {
    "sqlite": {
        "event_id": "printf('%08x-0000-7000-8000-000000000000', n)",
        "site_id": "'site-' || (n % 10)",
        "session_id": "'s-' || (n / 7)",
        "event_ts": "strftime('%Y-%m-%dT%H:%M:%S.000000Z', :epoch + n % 7776000, 'unixepoch')",
        "kafka_offset": "n",
    },
    "postgresql": {
        "event_id": "(lpad(to_hex(n), 8, '0') || '-0000-7000-8000-000000000000')::uuid",
        "site_id": "'site-' || (n % 10)",
        "session_id": "'s-' || (n / 7)",
        "event_ts": "to_timestamp(:epoch + n % 7776000)",
        "kafka_offset": "n",
    },
}
_NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers(n) AS "
    "(SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows)",
    "postgresql": "WITH numbers(n) AS (SELECT generate_series(1, :rows))",
}


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty, migrated database."""
    if request.param == "sqlite":
        return create_migrated(f"sqlite:///{tmp_path}/data/headrace.db")
    url: str = request.getfixturevalue("migrated_postgres_url")
    return url


def _copy_event(connection: Connection) -> None:
    """Insert `ROWS` copies of the first event, with their own ids, sites, sessions and times."""
    engine = connection.dialect.name
    columns = _COLUMNS[engine]
    names = table_of(EventRow).columns.keys()
    values = ", ".join(columns.get(name, f"first.{name}") for name in names)
    statement = (
        f"{_NUMBERS[engine]} INSERT INTO events ({', '.join(names)}) "  # noqa: S608 - constants
        f"SELECT {values} FROM numbers, (SELECT * FROM events) AS first"
    )
    connection.execute(text(statement), {"rows": ROWS, "epoch": NOON // 1_000_000})


async def _write_until(purge: "asyncio.Task[dict[str, int]]", writer: Writer) -> int:
    """Write events at a steady rate until the purge has ended; return the end offset."""
    offset, due_at = ROWS + 1, time.monotonic()
    while not purge.done():
        end = offset + _BATCH
        rows = [event_at(n, event_ts=micros(_NOW)) for n in range(offset, end)]
        await writer.write(TOPIC, 0, end, {EventRow: rows}, expect_no_rejection)
        offset = end
        due_at += _BATCH / EVENTS_PER_SECOND
        await asyncio.wait([purge], timeout=max(0, due_at - time.monotonic()))
    return offset


async def _query(database: Database, query: Any) -> list[Any]:
    return await database.run(lambda connection: list(connection.execute(query)))


async def test_millions_of_old_events_are_purged_while_new_ones_are_written(
    database_url: str,
) -> None:
    """All old events are deleted, and all new ones are stored."""
    writer, database = await open_for_test(database_url), open_database(database_url)
    await writer.assign(TOPIC, 0)
    await writer.write(TOPIC, 0, 1, {EventRow: [event_at(0)]}, expect_no_rejection)
    await database.run(_copy_event)
    await writer.write(TOPIC, 0, ROWS + 1, {EventRow: []}, expect_no_rejection)
    began = time.monotonic()

    purge = asyncio.create_task(Retention(database, {"events": 5}, lambda: _NOW).purge())
    end = await _write_until(purge, writer)

    seconds, written = time.monotonic() - began, end - ROWS - 1
    print(f"{ROWS:,} purged, {written:,} written in {seconds:.0f} s")  # noqa: T201 - the result
    assert await purge == {"events": ROWS + 1}
    events, offsets = table_of(EventRow).c, table_of(ConsumerOffsetRow).c
    first, last, count = (
        func.min(events.kafka_offset),
        func.max(events.kafka_offset),
        func.count(events.kafka_offset.distinct()),
    )
    assert await _query(database, select(first, last, count)) == [(ROWS + 1, end - 1, written)]
    assert await _query(database, select(offsets.next_offset)) == [(end,)]
    await writer.close()
    await database.close()
