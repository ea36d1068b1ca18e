"""Adopt a cluster: rebuild its derived topics from SQL, then assign the database to it.

The rows of `consumer_offsets` are written last. Until then the sinks reject the cluster, and the
command can be repeated: it starts again, in the same epoch.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from aiokafka import TopicPartition

from headrace.admin.database import connected, run_once
from headrace.admin.topic_records import latest_records
from headrace.admin.topics import create_topics
from headrace.errors import UserError
from headrace.ops.adopt import alerts, seeds, topics
from headrace.ops.adopt.configuration import (
    publish_blocked_ids,
    publish_sites,
    publish_subscriptions,
)
from headrace.ops.adopt.offsets import StoredOffsets, read_offsets, replace_offsets
from headrace.ops.adopt.start_positions import Start, find_starts
from headrace.ops.audit.scope import Scope
from headrace.ops.audit.snapshot import Snapshot, read_snapshot
from headrace.ops.erase.again import erase_again
from headrace.ops.exclusive import exclusive
from headrace.ops.rebuild.changelog import Changelog, send
from headrace.ops.rebuild.cluster import STOPPED_TIMEOUT_SECONDS, Cluster, open_cluster
from headrace.ops.rebuild.run import compute, durations_of, open_producer, sessions_of
from schemas.batched import batched
from schemas.codec import encode
from schemas.headers import Source
from schemas.positions import MAX_EPOCH, position
from schemas.records import BlockedId, ClusterEpoch
from schemas.settings import Settings
from schemas.topic_prefix import prefixed
from schemas.topics import (
    ALERT_STATES,
    ALERTS,
    CLUSTER_EPOCHS,
    ERASURES,
    EVENTS_RAW,
    EVENTS_SESSION,
    PAGE_DURATIONS,
    SESSIONS,
    TOPICS,
    Topic,
)
from sinks.app import APP_ID as SINKS
from sinks.sql.engine import Database, open_database
from streams.app import APP_ID as STREAMS
from streams.app import partitioner
from streams.engine.changelog_headers import version_header
from streams.engine.producer import BatchProducer, OutRecord
from streams.live_app import APP_ID as LIVE

#: Seeds sent at a time.
_BATCH_SIZE = 5_000
_GROUPS = (STREAMS, LIVE, SINKS)


@dataclass(slots=True)
class AdoptionResult:
    """The result; `is_new` is False if the database already belonged to the cluster."""

    cluster_id: str
    epoch: int
    is_new: bool
    #: The number of partitions of the cluster's topics.
    partitions: int
    previous_clusters: frozenset[tuple[str, int]] = frozenset()
    previous_offsets: Mapping[TopicPartition, int] = field(default_factory=dict)
    #: For each partition of `events-raw`, the offset that the workers start from.
    start_offsets: Mapping[int, int] = field(default_factory=dict)
    #: How many of each were written.
    states: int = 0
    ids: int = 0
    alerts: int = 0
    subscriptions: int = 0
    #: How many sessions and sites were in the database although they had been erased.
    erased: int = 0


async def adopt(
    settings: Settings,
    *,
    force: bool,
    on_step: Callable[[str], None],
    on_rows: Callable[[int], None],
) -> AdoptionResult:
    """Assign the database to the cluster of the settings. Idempotent.

    `on_step` is called with each step, `on_rows` with the number of rows read. `force` adopts the
    cluster even if the database seems to belong to it, because a topic was deleted and recreated.
    Raises `UserError` if workers or another such command are running, the number of partitions
    differs, or Kafka or the database fails.
    """
    async with exclusive(settings.database):
        return await _adopt(settings, force=force, on_step=on_step, on_rows=on_rows)


async def _adopt(
    settings: Settings,
    *,
    force: bool,
    on_step: Callable[[str], None],
    on_rows: Callable[[int], None],
) -> AdoptionResult:
    stored = await run_once(settings.database, read_offsets)
    settings = await topics.with_partitions(settings, stored.partitions)
    await create_topics(settings.kafka)
    async with open_cluster(settings, "The adoption is not complete; run this again") as cluster:
        await check_stopped(cluster)
        cluster_id = await cluster.cluster_id()
        result = AdoptionResult(
            cluster_id,
            cluster.epoch,
            is_new=False,
            partitions=settings.kafka.partitions,
            previous_clusters=stored.clusters,
        )
        is_empty = not stored.has_events and not stored.next_offsets
        if is_empty or (not force and await _is_current(cluster, cluster_id, stored)):
            return result
        stored.check_partitions(settings.kafka.partitions)
        is_other = cluster_id not in {name for name, _ in stored.clusters}
        result.is_new, result.previous_offsets = True, stored.next_offsets
        result.epoch = max(stored.last_epoch + 1, cluster.epoch)
        if result.epoch > MAX_EPOCH:
            raise UserError(f"No epoch is left: {MAX_EPOCH} clusters have been adopted")
        on_step("repeating erasures of data that the database still has")
        erasures = await latest_records(settings.kafka, ERASURES, BlockedId)
        erase = partial(erase_again, erasures=erasures.values())
        async with connected(settings.database, _without_timeout) as database:
            result.erased = await database.run(erase)
        adoption = _Adoption(settings, result, on_step, on_rows)
        begins, _ = await cluster.offset_ranges(adoption.raw)
        # Alerts of another cluster are unknown here, and those of erased events must not return.
        with_alerts = is_other or bool(erasures)
        await adoption.rebuild_topics(begins, with_alerts=with_alerts)
        await check_stopped(cluster, 0)
        await adoption.move()
    return result


class _Adoption:
    """One adoption in progress."""

    def __init__(
        self,
        settings: Settings,
        result: AdoptionResult,
        on_step: Callable[[str], None],
        on_rows: Callable[[int], None],
    ) -> None:
        self._settings = settings
        self._kafka = settings.kafka
        self._partitions = range(settings.kafka.partitions)
        self._partition_of = partitioner(settings.kafka.partitions)
        self._result = result
        self._on_step = on_step
        self._on_rows = on_rows
        self._starts: dict[int, Start] = {}

    async def rebuild_topics(
        self, begins: Mapping[TopicPartition, int], *, with_alerts: bool
    ) -> None:
        """Delete and recreate the derived topics, and fill them from SQL."""
        self._on_step("looking for events that are already in the database")
        self._starts = await find_starts(self._kafka, self._settings.database, begins)
        self._result.start_offsets = {number: one.offset for number, one in self._starts.items()}
        self._on_step("recreating the topics that are computed from events")
        await topics.recreate(self._settings.kafka, with_alerts=with_alerts)
        async with open_producer(self._settings) as producer:
            await self._write_epoch(producer)
            self._on_step("copying event ids for the router")
            await self._seed(producer)
            self._on_step("computing sessions and page durations")
            await self._compute_results()
            self._on_step("computing alert states")
            await self._compute_alerts(producer)

    async def move(self) -> None:
        """Commit the start offsets of the consumer groups, and assign the database."""
        self._on_step("moving the database to the cluster")
        starts = {tp: self._starts[tp.partition].offset for tp in self.raw}
        results = (SESSIONS, PAGE_DURATIONS, ALERTS)
        offsets = starts | dict.fromkeys(self._topic_partitions(results), 0)
        await topics.commit(
            self._kafka,
            prefixed(STREAMS),
            starts | dict.fromkeys(self._topic_partitions(topics.INPUTS), 0),
        )
        await topics.commit(self._kafka, prefixed(SINKS), offsets)
        cluster_id, epoch = self._result.cluster_id, self._result.epoch
        await run_once(
            self._settings.database,
            lambda connection: replace_offsets(connection, cluster_id, epoch, offsets),
        )

    @property
    def raw(self) -> list[TopicPartition]:
        """The partitions of `events-raw`."""
        return self._topic_partitions([EVENTS_RAW])

    def _topic_partitions(self, topics: Iterable[Topic]) -> list[TopicPartition]:
        return [
            TopicPartition(topic.name, number) for topic in topics for number in self._partitions
        ]

    async def _write_epoch(self, producer: BatchProducer) -> None:
        result, now_us = self._result, time.time_ns() // 1_000
        record = ClusterEpoch(cluster_id=result.cluster_id, epoch=result.epoch, adopted_at=now_us)
        sent = OutRecord(result.cluster_id.encode(), encode(record))
        await producer.send(CLUSTER_EPOCHS.name, 0, [sent])

    async def _seed(self, producer: BatchProducer) -> None:
        until_ms = {number: one.log_ms for number, one in self._starts.items()}
        loop = asyncio.get_running_loop()

        def work(snapshot: Snapshot) -> None:
            duplicates = chain.from_iterable(one.duplicates for one in self._starts.values())
            records = seeds.seed_records(
                chain(seeds.recent_seeds(snapshot, until_ms), duplicates),
                self._partition_of,
            )
            for batch in batched(records, _BATCH_SIZE):
                sending = send(producer, EVENTS_SESSION, batch)
                asyncio.run_coroutine_threadsafe(sending, loop).result()
                self._result.ids += len(batch)

        await read_snapshot(self._settings.database, work, lambda _: None)

    async def _compute_results(self) -> None:
        next_events = {
            number: Source(number, position(self._result.epoch, one.offset), one.log_ms)
            for number, one in self._starts.items()
        }
        for target in (sessions_of(self._settings), durations_of(self._settings)):
            rebuilt = await compute(
                *(self._settings, target, Scope()),
                next_events=next_events,
                changelog=Changelog(target.topic),
                on_rows=self._on_rows,
            )
            self._result.states += rebuilt.states

    async def _compute_alerts(self, producer: BatchProducer) -> None:
        settings = self._settings
        await publish_sites(settings)
        await publish_blocked_ids(settings)
        self._result.subscriptions, subscribed = await publish_subscriptions(settings)
        now_ms = min(one.log_ms for one in self._starts.values())
        limits = alerts.Limits(now_ms, settings.streams.max_states)
        url = settings.query.public_url or None
        computed = await read_snapshot(
            settings.database,
            lambda snapshot: alerts.compute(snapshot, subscribed, url, limits),
            self._on_rows,
        )
        self._result.states += len(computed.states)
        self._result.alerts = len(computed.missing)
        states = (
            (
                self._partition_of(key.split(b":", 1)[0]),
                OutRecord(key, value, version_header(-1)),
            )
            for key, value in computed.states.items()
        )
        await send(producer, ALERT_STATES, states)
        missing = (OutRecord(one.site_id.encode(), encode(one)) for one in computed.missing)
        await send(producer, ALERTS, ((self._partition_of(one.key or b""), one) for one in missing))


def _without_timeout(url: str) -> Database:
    return open_database(url, statement_seconds=None)


async def check_stopped(cluster: Cluster, seconds: float = STOPPED_TIMEOUT_SECONDS) -> None:
    """Wait until no workers run; raises `UserError` if some do after `seconds`."""
    await cluster.check_stopped(_GROUPS, _still_running, seconds)


def _still_running(members: Mapping[str, int]) -> str:
    return (
        f"Workers are running (consumer groups {', '.join(members)}). Stop `headrace up`, or the "
        "roles streams, live and sinks, then run this again"
    )


async def _is_current(cluster: Cluster, cluster_id: str, stored: StoredOffsets) -> bool:
    """Return True if the database has this cluster and epoch, and no offset beyond its topics."""
    if stored.clusters != {(cluster_id, cluster.epoch)}:
        return False
    ours = {topic.name for topic in TOPICS}
    if any(tp.topic not in ours for tp in stored.next_offsets):
        return False  # the topic prefix has changed
    _, ends = await cluster.offset_ranges(stored.next_offsets)
    return all(ends.get(tp, 0) >= offset for tp, offset in stored.next_offsets.items())
