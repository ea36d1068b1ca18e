"""Rebuilding tables and states from events, on both engines."""

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from infra.audit.run import rules_of
from infra.audit.scope import Scope
from infra.audit.snapshot import Snapshot, read_snapshot
from infra.rebuild.changelog import Changelog, Put
from infra.rebuild.plan import Change, Plan, plan_durations, plan_sessions
from infra.rebuild.standing import Standing
from infra.rebuild.store import store
from schemas.headers import Source
from schemas.settings import DatabaseSettings, Settings
from schemas.topics import PAGE_DURATIONS, SESSIONS, Topic
from sinks.sql.engine import open_database
from sinks.sql.tables import PageDurationRow, SessionRow, table_of
from tests.contract.sinks.audited import Log, Pipeline, clickstream
from tests.contract.sinks.samples import contents, execute, query
from tests.contract.sinks.test_audit import as_sentences, audit_once, differences
from tests.unit.streams.samples import DAY_MS, HOUR, NOON, event, source

SESSION_PLAN = plan_sessions(rules_of(Settings()))

#: Each with its own site.
DAMAGES = {
    SESSIONS: {
        "shop-a": "UPDATE sessions SET events = events + 1, revision = revision + 40",
        "shop-B": "UPDATE sessions SET entry_path = 'x', visitor_id = 'x'",
        "shop--": "DELETE FROM sessions",
        "shop-b": "UPDATE sessions SET session_id = 'none of ours'",
    },
    PAGE_DURATIONS: {
        "shop-a": "UPDATE page_durations SET leaves = leaves + 1, revision = revision + 40",
        "shop-B": "UPDATE page_durations SET path = 'none of ours', path_hash = path_hash / 2",
        "shop--": "DELETE FROM page_durations",
    },
}


async def rebuild(
    url: str, topic: Topic, standing: Standing, scope: Scope | None = None
) -> list[Put]:
    """Rebuild the rows with an empty changelog; return the records for it."""
    plan: Plan = SESSION_PLAN if topic is SESSIONS else plan_durations
    changes: list[Change] = []

    def work(snapshot: Snapshot) -> None:
        changes.extend(plan(snapshot, scope or Scope(), standing, Changelog(topic)))

    await read_snapshot(DatabaseSettings(url=url), work, lambda _: None)
    table = table_of(SessionRow if topic is SESSIONS else PageDurationRow)
    rows = [row for change in changes for row in change.rows]
    gone = [key for change in changes for key in change.gone]
    database = open_database(url, use_row_types=True)
    try:
        await database.run(lambda connection: store(connection, table, rows, gone))
    finally:
        await database.close()
    return [put for change in changes for put in change.puts]


def standing_after(log: Log) -> dict[int, Source]:
    """Return the positions of agents that have processed the whole log."""
    last = {src.partition: src for _, src in log}
    return {
        partition: Source(partition, src.offset + 1, src.log_ms) for partition, src in last.items()
    }


@pytest.mark.parametrize("topic", DAMAGES, ids=lambda topic: topic.name)
async def test_a_rebuilt_table_is_correct_and_continues(database_url: str, topic: Topic) -> None:
    """Whatever the damage; later events are applied to the rebuilt states."""
    log = clickstream(700, seed=3)
    before, after = log[:400], log[400:]
    pipeline = Pipeline(database_url)
    await pipeline.process(before)
    for site, damage in DAMAGES[topic].items():
        await execute(database_url, f"{damage} WHERE site_id = '{site}'")
    damaged = {one.key[0] for one in differences(await audit_once(database_url))}
    assert damaged == DAMAGES[topic].keys()

    puts = await rebuild(database_url, topic, standing_after(before))

    assert as_sentences(await audit_once(database_url)) == []
    if topic is SESSIONS:
        assert {put.key for put in puts} >= _keys(pipeline, before)
        pipeline.recover(sessions=puts)
    else:
        pipeline.recover(durations=puts)
    await pipeline.process(after)
    assert as_sentences(await audit_once(database_url)) == []


@pytest.mark.parametrize("topic", [SESSIONS, PAGE_DURATIONS], ids=lambda topic: topic.name)
async def test_events_that_the_streams_have_not_processed_are_not_counted_twice(
    database_url: str, topic: Topic
) -> None:
    """They are stored and in the rebuilt states, also for old hours."""
    log = [
        (event("a", event_ts=NOON - 90 * 24 * HOUR, type="pageleave", duration_ms=5), source(0)),
        (event("b", event_ts=NOON - 90 * 24 * HOUR, type="pageleave", duration_ms=7), source(1)),
    ]
    pipeline = Pipeline(database_url)
    await pipeline.process(log)

    # The workers stop before these events and start again a month later, by the broker's clock.
    puts = await rebuild(database_url, topic, {0: Source(0, 0, log[0][1].log_ms + 30 * DAY_MS)})

    fresh = Pipeline(database_url)
    fresh.recover(**{"sessions" if topic is SESSIONS else "durations": puts})
    await fresh.process(log)
    assert as_sentences(await audit_once(database_url)) == []


async def test_a_rebuild_is_limited_to_its_site_and_time_range(database_url: str) -> None:
    """Rows of other sites and earlier times are not changed."""
    log = [
        (event("a", session_id="old"), source(0)),
        (event("b", session_id="new", event_ts=NOON + HOUR), source(1)),
        (event("c", session_id="new", site_id="other", event_ts=NOON + HOUR), source(2)),
    ]
    await Pipeline(database_url).process(log)
    await execute(database_url, "UPDATE sessions SET events = 9")
    since = datetime.fromtimestamp((NOON + HOUR) / 1_000_000, UTC)

    puts = await rebuild(
        database_url, SESSIONS, standing_after(log), Scope(site="shop", since=since)
    )

    assert [put.key for put in puts] == [b"shop:new"]
    rows = await query(
        database_url, "SELECT site_id, session_id, events FROM sessions ORDER BY 1, 2"
    )
    assert rows == [("other", "new", 9), ("shop", "new", 1), ("shop", "old", 9)]


async def test_a_rebuilt_row_has_a_higher_revision(database_url: str) -> None:
    """It overwrites unread older revisions, and the next event overwrites it."""
    await Pipeline(database_url).process([(event("a"), source(0))])
    await execute(database_url, "UPDATE sessions SET revision = 70")

    await rebuild(database_url, SESSIONS, standing_after([(event("a"), source(0))]))

    assert [row["revision"] for row in await contents(database_url, SessionRow)] == [71]


def _keys(pipeline: Pipeline, log: Log) -> set[bytes]:
    """Return the keys of the workers' states."""
    partitions: Iterable[int] = {src.partition for _, src in log}
    return {key for partition in partitions for key in pipeline.sessions[partition].stored()}
