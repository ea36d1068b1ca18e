"""Retention of events, sessions, page durations and alerts, on both engines."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlmodel import SQLModel

from headrace.ops.audit.scope import Scope
from schemas.headers import Source
from schemas.records import RawEvent
from schemas.topics import PAGE_DURATIONS, SESSIONS
from sinks.sql import retention
from sinks.sql.batch import SourcedRow
from sinks.sql.engine import Database, open_database
from sinks.sql.retention import PURGES, Horizons, Retention, horizons
from sinks.sql.statements import Row
from sinks.sql.tables import AlertRow, EventRow, PageDurationRow, SessionRow, table_of
from sinks.sql.types import from_micros, micros
from tests.contract.sinks import crowded
from tests.contract.sinks.audited import Log, Pipeline, clickstream
from tests.contract.sinks.samples import (
    NOON,
    TOPIC,
    alert_at,
    contents,
    duration_at,
    event_at,
    execute,
    expect_no_rejection,
    open_for_test,
    visit_at,
)
from tests.contract.sinks.test_audit import differences, run_audit, to_sentences
from tests.contract.sinks.test_rebuild import next_events_after, rebuild
from tests.unit.streams.samples import HOUR, event, source
from tests.unit.streams.samples import NOON as LOG_NOON

_DAY = timedelta(days=1)
_COLUMNS: dict[type[SQLModel], str] = {
    EventRow: "event_ts",
    SessionRow: "started_at",
    AlertRow: "raised_at",
}


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Yield the database."""
    database = open_database(database_url)
    yield database
    await database.close()


async def purge(database: Database, now: datetime, **days: int) -> dict[str, int]:
    """Purge once at a time; return the number of deleted rows by table."""
    return await Retention(database, days, lambda: now).purge()


def replaced(row: Row, model: type[SQLModel], **values: object) -> Row:
    """Return a row with other values in some columns."""
    return tuple(
        values.get(name, value)
        for name, value in zip(table_of(model).columns.keys(), row, strict=False)
    )


async def test_rows_of_whole_days_are_purged(database_url: str, database: Database) -> None:
    """Those of the last `days` days, and of today, are kept; of every site; open visits too."""
    midnight = from_micros(NOON).replace(hour=0)
    kept, old = micros(midnight), micros(midnight) - 1
    alerts = [
        (n, replaced(alert_at(n, n)[1], AlertRow, raised_at=at)) for n, at in enumerate((kept, old))
    ]
    rows: dict[type[SQLModel], list[SourcedRow]] = {
        EventRow: [
            event_at(n, event_ts=at, site_id=site)
            for n, (at, site) in enumerate([(kept, "a"), (old, "a"), (old, "b")])
        ],
        SessionRow: [
            visit_at(0, "kept", 1, started_at=kept),
            visit_at(1, "old", 1, started_at=old, state="closed"),
            visit_at(2, "open", 1, started_at=old, state="open"),
            visit_at(3, "retracted", 1, started_at=old, state="withdrawn"),
        ],
        PageDurationRow: [
            duration_at(0, "/kept", 1, hour=kept),
            duration_at(1, "/old", 1, hour=kept - HOUR),
        ],
        AlertRow: alerts,
    }
    writer = await open_for_test(database_url)
    await writer.assign(TOPIC, 0)
    await writer.write(TOPIC, 0, 4, rows, expect_no_rejection)
    await writer.close()

    deleted = await purge(database, from_micros(NOON) + _DAY, events=1, sessions=1, alerts=1)

    assert deleted == {"events": 2, "sessions": 2, "page_durations": 1, "alerts": 1}
    for model, column in _COLUMNS.items():
        times = {micros(row[column]) for row in await contents(database_url, model)}
        assert times == ({kept, old} if model is SessionRow else {kept})
    assert [row["path"] for row in await contents(database_url, PageDurationRow)] == ["/kept"]


async def test_what_has_no_period_is_kept(database_url: str, database: Database) -> None:
    """Zero days are for ever; the horizons say what was purged, and never go back."""
    await Pipeline(database_url).process(clickstream(20, seed=1))
    now = from_micros(LOG_NOON) + 400 * _DAY

    assert await purge(database, now, events=0, sessions=0, alerts=0) == {}
    assert await database.run(horizons) == Horizons()
    await purge(database, now, events=30)
    await purge(database, now, events=300)

    midnight = now.replace(hour=0)
    assert await database.run(horizons) == Horizons(events=midnight - 30 * _DAY)
    assert len(await contents(database_url, EventRow)) == 0
    assert len(await contents(database_url, SessionRow)) > 0


@pytest.mark.parametrize(
    "days",
    [
        {"events": 1},
        {"sessions": 1},
        {"alerts": 1},
        {"events": 1, "sessions": 1, "alerts": 1},
        {"events": 2, "sessions": 1},
        {"events": 1, "sessions": 2},
    ],
    ids=str,
)
async def test_an_audit_knows_what_was_purged(
    database_url: str, database: Database, days: dict[str, int]
) -> None:
    """It compares what is complete, also visits and hours at the horizon, and nothing else."""
    log = clickstream(4_000, seed=5)
    await Pipeline(database_url).process(log)
    now = from_micros(log[-1][0].received_at)

    assert sum((await purge(database, now, **days)).values()) > 0

    assert to_sentences(await run_audit(database_url)) == []
    await execute(database_url, "UPDATE sessions SET events = events + 1")
    assert differences(await run_audit(database_url))


def _short_visits(count: int) -> Log:
    """Return a log of three days in which each session has four page leaves, minutes apart."""
    log: list[tuple[RawEvent, Source]] = []
    for n in range(count):
        at = LOG_NOON + n * 160_000_000
        leave = event(
            n, session_id=f"s-{n // 4}", type="pageleave", event_ts=at, duration_ms=n, path="/a"
        )
        page = event(f"{n}v", session_id=f"s-{n // 4}", event_ts=at, path="/a")
        partition = n // 4 % 4
        log += [(page, source(2 * n, at // 1_000, partition))]
        log += [(leave, source(2 * n + 1, at // 1_000, partition))]
    return log


async def test_a_rebuild_leaves_what_cannot_be_computed(
    database_url: str, database: Database
) -> None:
    """Older rows remain although their events are purged; newer ones are repaired."""
    log = _short_visits(1_600)
    await Pipeline(database_url).process(log)
    await purge(database, from_micros(log[-1][0].received_at), events=1)
    purged = await database.run(horizons)
    before = await contents(database_url, SessionRow)
    hours = await contents(database_url, PageDurationRow)
    for statement in (
        "UPDATE sessions SET events = events + 1 WHERE session_id > 's-390'",
        "UPDATE page_durations SET leaves = leaves + 1 WHERE hour > '2026-04-04'",
    ):
        await execute(database_url, statement)
    assert differences(await run_audit(database_url))

    for topic in (SESSIONS, PAGE_DURATIONS):
        await rebuild(database_url, topic, next_events_after(log), Scope(purged=purged))

    assert to_sentences(await run_audit(database_url)) == []
    after = await contents(database_url, SessionRow)
    assert {row["visit_id"] for row in after} == {row["visit_id"] for row in before}
    assert len(await contents(database_url, PageDurationRow)) == len(hours)


async def test_a_batch_reads_few_rows(database_url: str, database: Database) -> None:
    """An index finds the old rows of each table; finding the next site costs one lookup."""
    await crowded.fill(database_url)
    before = from_micros(NOON + 100 * crowded.SECOND)
    for name in ("sessions", "alerts"):
        for one in PURGES[name]:
            delete = partial(
                retention.delete_batch,
                name=name,
                purge=one,
                site_id="shop",
                before=before,
            )
            rows = await database.run(partial(crowded.cost, work=delete))
            assert rows < 20 * retention.BATCH_SIZE, one.table.name


async def test_one_process_purges(database_url: str, database: Database) -> None:
    """Another one leaves the work to it; on SQLite they wait for each other anyway."""
    await Pipeline(database_url).process(clickstream(50, seed=1))
    now = from_micros(LOG_NOON) + 400 * _DAY
    others = [open_database(database_url) for _ in range(3)]
    try:
        counts = await asyncio.gather(*(purge(one, now, events=1) for one in (database, *others)))
    finally:
        for other in others:
            await other.close()

    assert sum(count["events"] for count in counts) == 50
    assert await contents(database_url, EventRow) == []


async def test_sinks_write_while_old_rows_are_purged(database_url: str, database: Database) -> None:
    """Nothing new is lost, and nothing old is left."""
    writer = await open_for_test(database_url)
    await writer.assign(TOPIC, 0)
    old = [event_at(n) for n in range(3_000)]
    await writer.write(TOPIC, 0, 3_000, {EventRow: old}, expect_no_rejection)
    now = from_micros(NOON) + 2 * _DAY
    purging = asyncio.create_task(purge(database, now, events=1))
    for start in range(3_000, 4_000, 50):
        new = [event_at(n, event_ts=micros(now)) for n in range(start, start + 50)]
        await writer.write(TOPIC, 0, start + 50, {EventRow: new}, expect_no_rejection)
    await writer.close()

    assert await purging == {"events": 3_000}

    stored = {row["kafka_offset"] for row in await contents(database_url, EventRow)}
    assert stored == set(range(3_000, 4_000))
