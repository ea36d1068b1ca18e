"""Rebuilds on both engines: rows, and states that workers continue with."""

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from headrace.ops.audit.run import rules_of
from headrace.ops.audit.scope import Scope
from headrace.ops.audit.snapshot import Snapshot, read_snapshot
from headrace.ops.rebuild.changelog import Changelog, Put
from headrace.ops.rebuild.cluster import NextEvents
from headrace.ops.rebuild.plan import Change, Plan, plan_durations, plan_sessions
from headrace.ops.rebuild.row_writer import store
from headrace.ops.rebuild.visits import visit_records
from schemas.codec import decode
from schemas.headers import Source
from schemas.records import FlatVisit
from schemas.settings import DatabaseSettings, Settings
from schemas.topics import PAGE_DURATIONS, SESSIONS, Topic
from sinks.sql.engine import open_database
from sinks.sql.tables import PageDurationRow, SessionRow, table_of
from tests.contract.sinks.audited import Log, Pipeline, clickstream
from tests.contract.sinks.samples import contents, execute, query
from tests.contract.sinks.test_audit import differences, run_audit, to_sentences
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
    url: str, topic: Topic, next_events: NextEvents, scope: Scope | None = None
) -> list[Put]:
    """Rebuild the rows as from an empty topic; return the writes to the topic."""
    return [
        put for change in await rebuild_rows(url, topic, next_events, scope) for put in change.puts
    ]


async def rebuild_rows(
    url: str, topic: Topic, next_events: NextEvents, scope: Scope | None = None
) -> list[Change]:
    """Rebuild the rows as from an empty topic; return the changes."""
    plan: Plan = SESSION_PLAN if topic is SESSIONS else plan_durations
    changes: list[Change] = []

    def work(snapshot: Snapshot) -> None:
        changes.extend(plan(snapshot, scope or Scope(), next_events, Changelog(topic)))

    await read_snapshot(DatabaseSettings(url=url), work, lambda _: None)
    table = table_of(SessionRow if topic is SESSIONS else PageDurationRow)
    rows = [row for change in changes for row in change.rows]
    deleted = [key for change in changes for key in change.deleted]
    database = open_database(url, use_row_types=True)
    try:
        await database.run(lambda connection: store(connection, table, rows, deleted))
    finally:
        await database.close()
    return changes


def next_events_after(log: Log) -> dict[int, Source]:
    """Return the next events of agents that have applied the whole log."""
    last = {src.partition: src for _, src in log}
    return {
        partition: Source(partition, src.offset + 1, src.log_ms) for partition, src in last.items()
    }


async def test_a_rebuild_sends_the_flat_visit_of_each_row(database_url: str) -> None:
    """In the partition of the session, and a tombstone for a row that no event belongs to."""
    log = clickstream(300, seed=3)
    await Pipeline(database_url).process(log)
    [(visit_id,)] = await query(database_url, "SELECT min(CAST(visit_id AS TEXT)) FROM sessions")
    gone = "0f6a2c1e-5a1d-5c5b-8f5e-0a1b2c3d4e5f"
    await execute(
        database_url,
        f"UPDATE sessions SET visit_id = '{gone}' WHERE visit_id = '{visit_id}'",  # noqa: S608
    )

    changes = await rebuild_rows(database_url, SESSIONS, next_events_after(log))
    sent = {
        (out.key or b"").decode(): (partition, out.value)
        for partition, out in visit_records(changes, len)
    }

    rows = await contents(database_url, SessionRow)
    kept = {key: decode(value, FlatVisit) for key, (_, value) in sent.items() if value is not None}
    assert sent.keys() - kept.keys() == {gone}
    assert visit_id in kept
    assert {(visit.visit_id, visit.revision, visit.events) for visit in kept.values()} == {
        (str(row["visit_id"]), row["revision"], row["events"]) for row in rows
    }
    for key, visit in kept.items():
        assert sent[key][0] == len(f"{visit.site_id}:{visit.session_id}".encode())


@pytest.mark.parametrize("topic", DAMAGES, ids=lambda topic: topic.name)
async def test_a_rebuilt_table_is_correct_and_can_be_continued(
    database_url: str, topic: Topic
) -> None:
    """Any damage is repaired, and later events are applied to the rebuilt states."""
    log = clickstream(700, seed=3)
    before, after = log[:400], log[400:]
    pipeline = Pipeline(database_url)
    await pipeline.process(before)
    for site, damage in DAMAGES[topic].items():
        await execute(database_url, f"{damage} WHERE site_id = '{site}'")
    damaged = {one.key[0] for one in differences(await run_audit(database_url))}
    assert damaged == DAMAGES[topic].keys()

    puts = await rebuild(database_url, topic, next_events_after(before))

    assert to_sentences(await run_audit(database_url)) == []
    if topic is SESSIONS:
        assert {put.key for put in puts} >= _keys(pipeline, before)
        pipeline.recover(sessions=puts)
    else:
        pipeline.recover(durations=puts)
    await pipeline.process(after)
    assert to_sentences(await run_audit(database_url)) == []


@pytest.mark.parametrize("topic", [SESSIONS, PAGE_DURATIONS], ids=lambda topic: topic.name)
async def test_events_that_are_not_applied_yet_are_not_counted_twice(
    database_url: str, topic: Topic
) -> None:
    """They are in the rebuilt state, even those of expired hours."""
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
    assert to_sentences(await run_audit(database_url)) == []


async def test_a_rebuild_is_limited_to_its_site_and_start_time(database_url: str) -> None:
    """Rows of other sites and earlier times do not change."""
    log = [
        (event("a", session_id="old"), source(0)),
        (event("b", session_id="new", event_ts=NOON + HOUR), source(1)),
        (event("c", session_id="new", site_id="other", event_ts=NOON + HOUR), source(2)),
    ]
    await Pipeline(database_url).process(log)
    await execute(database_url, "UPDATE sessions SET events = 9")
    since = datetime.fromtimestamp((NOON + HOUR) / 1_000_000, UTC)

    puts = await rebuild(
        database_url, SESSIONS, next_events_after(log), Scope(site="shop", since=since)
    )

    assert [put.key for put in puts] == [b"shop:new"]
    rows = await query(
        database_url, "SELECT site_id, session_id, events FROM sessions ORDER BY 1, 2"
    )
    assert rows == [("other", "new", 9), ("shop", "new", 1), ("shop", "old", 9)]


async def test_a_rebuilt_row_has_a_higher_revision(database_url: str) -> None:
    """It wins over unread changelog records, and the next event wins over it."""
    await Pipeline(database_url).process([(event("a"), source(0))])
    await execute(database_url, "UPDATE sessions SET revision = 70")

    await rebuild(database_url, SESSIONS, next_events_after([(event("a"), source(0))]))

    assert [row["revision"] for row in await contents(database_url, SessionRow)] == [71]


def _keys(pipeline: Pipeline, log: Log) -> set[bytes]:
    """Return the keys whose states the workers still have."""
    partitions: Iterable[int] = {src.partition for _, src in log}
    return {key for partition in partitions for key in pipeline.sessions[partition].stored()}
