"""What a rebuild makes of events, on both engines: the rows, and states to go on from."""

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from infra.audit.run import rules_of
from infra.audit.scope import Scope
from infra.audit.snapshot import Snapshot, read_snapshot
from infra.rebuild.changelog import Changelog, Put
from infra.rebuild.plan import Change, Plan, plan_durations, plan_sessions
from infra.rebuild.standing import NextEvents
from infra.rebuild.store import store
from schemas.headers import Source
from schemas.settings import DatabaseSettings, Settings
from schemas.topics import PAGE_DURATIONS, SESSIONS, Topic
from sinks.sql.engine import open_database
from sinks.sql.tables import PageDurationRow, SessionRow, table_of
from tests.contract.sinks.audited import Log, Pipeline, clickstream
from tests.contract.sinks.samples import contents, execute, query
from tests.contract.sinks.test_audit import differences, look, told
from tests.unit.streams.samples import DAY_MS, HOUR, NOON, event, source

SESSION_PLAN = plan_sessions(rules_of(Settings()))

#: Each at a site of its own.
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
    """Rebuild the rows, as from a topic that is empty; return what the topic is to hold."""
    plan: Plan = SESSION_PLAN if topic is SESSIONS else plan_durations
    changes: list[Change] = []

    def work(snapshot: Snapshot) -> None:
        changes.extend(plan(snapshot, scope or Scope(), next_events, Changelog(topic)))

    await read_snapshot(DatabaseSettings(url=url), work, lambda _: None)
    table = table_of(SessionRow if topic is SESSIONS else PageDurationRow)
    rows = [row for change in changes for row in change.rows]
    deleted = [key for change in changes for key in change.deleted]
    database = open_database(url, takes_batches=True)
    try:
        await database.run(lambda connection: store(connection, table, rows, deleted))
    finally:
        await database.close()
    return [put for change in changes for put in change.puts]


def next_events_after(log: Log) -> dict[int, Source]:
    """Return where the agents stand that have applied the whole log."""
    last = {src.partition: src for _, src in log}
    return {
        partition: Source(partition, src.offset + 1, src.log_ms) for partition, src in last.items()
    }


@pytest.mark.parametrize("topic", DAMAGES, ids=lambda topic: topic.name)
async def test_a_rebuilt_table_is_right_and_goes_on(database_url: str, topic: Topic) -> None:
    """Whatever was damaged; and the events that come next are applied to what was rebuilt."""
    log = clickstream(700, seed=3)
    before, after = log[:400], log[400:]
    pipeline = Pipeline(database_url)
    await pipeline.flow(before)
    for site, damage in DAMAGES[topic].items():
        await execute(database_url, f"{damage} WHERE site_id = '{site}'")
    damaged = {one.key[0] for one in differences(await look(database_url))}
    assert damaged == DAMAGES[topic].keys()

    puts = await rebuild(database_url, topic, next_events_after(before))

    assert told(await look(database_url)) == []
    if topic is SESSIONS:
        assert {put.key for put in puts} >= _keys(pipeline, before)
        pipeline.recover(sessions=puts)
    else:
        pipeline.recover(durations=puts)
    await pipeline.flow(after)
    assert told(await look(database_url)) == []


@pytest.mark.parametrize("topic", [SESSIONS, PAGE_DURATIONS], ids=lambda topic: topic.name)
async def test_what_the_streams_are_yet_to_see_is_not_counted_again(
    database_url: str, topic: Topic
) -> None:
    """Stored, but not applied: the rebuilt state has it, also of hours long past."""
    log = [
        (event("a", event_ts=NOON - 90 * 24 * HOUR, type="pageleave", duration_ms=5), source(0)),
        (event("b", event_ts=NOON - 90 * 24 * HOUR, type="pageleave", duration_ms=7), source(1)),
    ]
    pipeline = Pipeline(database_url)
    await pipeline.flow(log)

    # Stopped before both, and started again a month later by the broker's clock.
    puts = await rebuild(database_url, topic, {0: Source(0, 0, log[0][1].log_ms + 30 * DAY_MS)})

    fresh = Pipeline(database_url)
    fresh.recover(**{"sessions" if topic is SESSIONS else "durations": puts})
    await fresh.flow(log)
    assert told(await look(database_url)) == []


async def test_a_rebuild_keeps_to_its_site_and_its_time(database_url: str) -> None:
    """What is of other sites, or was over before, stays as it is."""
    log = [
        (event("a", session_id="old"), source(0)),
        (event("b", session_id="new", event_ts=NOON + HOUR), source(1)),
        (event("c", session_id="new", site_id="other", event_ts=NOON + HOUR), source(2)),
    ]
    await Pipeline(database_url).flow(log)
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


async def test_a_rebuilt_row_has_a_revision_above_the_one_before(database_url: str) -> None:
    """So it wins over what a sink is yet to read, and the next event's wins over it."""
    await Pipeline(database_url).flow([(event("a"), source(0))])
    await execute(database_url, "UPDATE sessions SET revision = 70")

    await rebuild(database_url, SESSIONS, next_events_after([(event("a"), source(0))]))

    assert [row["revision"] for row in await contents(database_url, SessionRow)] == [71]


def _keys(pipeline: Pipeline, log: Log) -> set[bytes]:
    """Return the keys whose states the workers still hold."""
    partitions: Iterable[int] = {src.partition for _, src in log}
    return {key for partition in partitions for key in pipeline.sessions[partition].stored()}
