"""Moving a database to another Kafka cluster, on both engines."""

from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

import pytest
from aiokafka import TopicPartition
from sqlalchemy import Connection

from headrace.admin.database import run_once
from headrace.ops.adopt import alerts, seeds
from headrace.ops.adopt.offsets import StoredOffsets, positions_of, read_offsets, replace_offsets
from headrace.ops.audit.snapshot import Snapshot, read_snapshot
from schemas.codec import decode
from schemas.headers import CLIENT_ID, EVENT_ID, SOURCE, Source, find
from schemas.positions import position
from schemas.records import AlertState
from schemas.settings import DatabaseSettings
from schemas.topics import EVENTS_RAW, PAGE_DURATIONS, SESSIONS
from sinks.app import APP_ID as SINKS
from sinks.sql.errors import ClusterMismatch
from sinks.sql.writer import open_writer
from streams.domain.alerts.subscriptions import Subscriptions
from streams.domain.routing.dedupe import CLIENT_IDS, SeenIds
from streams.engine.producer import OutRecord
from tests.contract.sinks.audited import PARTITION_OF, Log, Pipeline, clickstream
from tests.contract.sinks.samples import execute, query
from tests.contract.sinks.test_audit import run_audit, to_sentences
from tests.contract.sinks.test_rebuild import rebuild
from tests.unit.streams.samples import DAY_MS, HOUR, HOUR_MS, NOON, NOON_MS, event, uuid_of

T = TypeVar("T")

RAW = TopicPartition(EVENTS_RAW.name, 0)


def in_epoch(epoch: int, log: Log) -> Log:
    """Return the log with the offsets of another cluster, beginning at 0."""
    first = log[0][1].offset
    return [
        (one, Source(src.partition, position(epoch, src.offset - first), src.log_ms))
        for one, src in log
    ]


async def test_results_are_exact_across_three_clusters(database_url: str) -> None:
    """Offsets begin at 0 in each, and open sessions and hours are continued."""
    log = clickstream(900, seed=5)
    pipeline = Pipeline(database_url)
    for epoch, part in enumerate((log[:400], log[400:650], log[650:])):
        if epoch:
            states = {
                partition: Source(partition, position(epoch, 0), part[0][1].log_ms)
                for partition in range(4)
            }
            pipeline.sessions.clear()
            pipeline.durations.clear()
            pipeline.recover(
                sessions=await rebuild(database_url, SESSIONS, states),
                durations=await rebuild(database_url, PAGE_DURATIONS, states),
            )
            assert to_sentences(await run_audit(database_url)) == []
        await pipeline.process(in_epoch(epoch, part))
        assert to_sentences(await run_audit(database_url)) == []
    epochs = await query(database_url, "SELECT DISTINCT kafka_epoch FROM events ORDER BY 1")
    assert [row[0] for row in epochs] == [0, 1, 2]


async def test_the_router_drops_events_of_the_previous_cluster(database_url: str) -> None:
    """Seeds have the ids that the router would have kept, at the positions of the events."""
    log = in_epoch(0, clickstream(120, seed=6))
    await Pipeline(database_url).process(log)

    def read(snapshot: Snapshot) -> list[tuple[int, OutRecord]]:
        until = dict.fromkeys(range(4), NOON_MS + DAY_MS)
        return list(seeds.seed_records(seeds.recent_seeds(snapshot, until), PARTITION_OF))

    records = await read_snapshot(DatabaseSettings(url=database_url), read, lambda _: None)

    memory = SeenIds(CLIENT_IDS)
    for partition, (key, value, headers) in records:
        src = Source.unpack(find(headers, SOURCE) or b"")
        assert (src.partition, value, find(headers, CLIENT_ID)) == (partition, None, b"")
        assert not memory.is_repeat(
            find(headers, EVENT_ID) or b"", key or b"", src.offset, src.log_ms
        )
    assert len(records) == len({one.event_id for one, _ in log})
    for one, _ in log:
        key = f"{one.site_id}:{one.session_id}".encode()
        assert memory.is_repeat(_bytes(one.event_id), key, position(1, 0), NOON_MS + DAY_MS)


async def test_stored_events_are_found_by_id_site_and_session(database_url: str) -> None:
    """The same id in another session is another event."""
    one, other = event("a"), event("b", session_id="s-2")
    at = position(2, 7)
    await Pipeline(database_url).process([(one, Source(0, at, NOON_MS))])
    names = [(uuid_of("a"), "shop", "s-1"), (uuid_of("a"), "shop", "s-2"), (other.event_id,) * 3]

    found = await _run(database_url, lambda connection: positions_of(connection, set(names)))

    assert found == {names[0]: (0, 2, 7)}


async def test_after_a_move_the_previous_cluster_is_rejected(
    database_url: str,
) -> None:
    """Workers of another cluster or epoch cannot write."""
    writer = await open_writer(database_url, app=SINKS, cluster_id="A", should_stop=lambda: False)
    await writer.assign(RAW.topic, 0)
    stored: StoredOffsets = await _run(database_url, read_offsets)
    assert (set(stored.clusters), stored.partitions, stored.last_epoch) == ({("A", 0)}, 1, 0)

    await _run(database_url, lambda connection: replace_offsets(connection, "B", 1, {RAW: 3}))

    with pytest.raises(ClusterMismatch, match="headrace adopt-cluster"):
        await writer.assign(RAW.topic, 0)
    await writer.close()
    for cluster_id, epoch in (("B", 0), ("A", 1), ("B", 2)):
        wrong = await open_writer(
            database_url, app=SINKS, cluster_id=cluster_id, epoch=epoch, should_stop=lambda: False
        )
        with pytest.raises(ClusterMismatch, match="headrace adopt-cluster"):
            await wrong.assign(RAW.topic, 0)
        await wrong.close()
    right = await open_writer(
        database_url, app=SINKS, cluster_id="B", epoch=1, should_stop=lambda: False
    )
    assert await right.assign(RAW.topic, 0) == 3
    await right.close()


async def test_events_without_offsets_are_of_an_unknown_cluster(database_url: str) -> None:
    """The rows of consumer_offsets may have been deleted."""
    await Pipeline(database_url).process([(event("a"), Source(0, 0, NOON_MS))])
    await execute(database_url, "DELETE FROM consumer_offsets")
    writer = await open_writer(database_url, app=SINKS, cluster_id="A", should_stop=lambda: False)

    with pytest.raises(ClusterMismatch, match="it is unknown"):
        await writer.check_cluster()

    await writer.close()
    stored: StoredOffsets = await _run(database_url, read_offsets)
    assert (stored.clusters, stored.partitions, stored.has_events) == (frozenset(), None, True)


async def test_a_known_error_is_not_new_in_another_cluster(database_url: str) -> None:
    """Its state has when it was last seen; a payment without an alert is reported."""
    log = [
        (event(f"e{n}", type="error", error_name="Known"), Source(0, n, NOON_MS)) for n in range(3)
    ]
    paid = event("p", type="payment", amount=Decimal(5), currency="EUR")
    log.append((paid, Source(0, 3, NOON_MS)))
    await Pipeline(database_url).process(log)
    await execute(database_url, "DELETE FROM alerts WHERE rule = 'payment'")

    found = await _compute_alerts(database_url, NOON_MS + 1)

    assert [(one.rule, one.event_id) for one in found.missing] == [("payment", paid.event_id)]
    states = [decode(value, AlertState) for value in found.states.values()]
    known = [one for one in states if one.rule == "error.new" and one.subject]
    assert [(one.seen_ms, one.applied) for one in known] == [(NOON_MS, {"0": 2})]


async def test_no_alert_of_a_bot_is_missing(database_url: str) -> None:
    """Its errors are not known afterwards, either."""
    bots = [event(kind, type=kind, error_name="E", excluded="bot") for kind in ("error", "payment")]
    log = [(one, Source(0, n, NOON_MS)) for n, one in enumerate(bots)]
    await Pipeline(database_url).process(log)

    found = await _compute_alerts(database_url, NOON_MS + 1)

    assert (found.missing, found.states) == ([], {})


async def test_a_digest_that_was_not_raised_is_missing(database_url: str) -> None:
    """The old cluster stopped within the hour; raised digests are not repeated."""
    log = [
        (event(f"e{n}", type="error", error_name=f"E{chr(97 + n)}"), Source(0, n, NOON_MS + n))
        for n in range(25)
    ]
    later = event("p", type="payment", event_ts=NOON + 2 * HOUR, received_at=NOON + 2 * HOUR)
    await Pipeline(database_url).process([*log, (later, Source(0, 25, NOON_MS + 2 * HOUR_MS))])
    digest, now_ms = "WHERE subject = 'more'", NOON_MS + 2 * HOUR_MS + 1
    [(title,)] = await query(database_url, f"SELECT title FROM alerts {digest}")  # noqa: S608

    assert (await _compute_alerts(database_url, now_ms)).missing == []
    await execute(database_url, f"DELETE FROM alerts {digest} OR rule = 'payment'")  # noqa: S608
    found = await _compute_alerts(database_url, now_ms)

    assert title == "5 more new errors in the last hour"
    assert [one.title for one in found.missing if one.rule == "error.new"] == [title]
    assert not any(decode(value, AlertState).unseen for value in found.states.values())


async def _compute_alerts(url: str, now_ms: int) -> alerts.Computed:
    limits = alerts.Limits(now_ms, 1_000)
    return await read_snapshot(
        DatabaseSettings(url=url),
        lambda snapshot: alerts.compute(snapshot, Subscriptions(), None, limits),
        lambda _: None,
    )


def _bytes(event_id: str) -> bytes:
    return bytes.fromhex(event_id.replace("-", ""))


async def _run(url: str, work: Callable[[Connection], T]) -> T:
    return await run_once(DatabaseSettings(url=url), work)
