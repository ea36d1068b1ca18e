"""Adopting a cluster: its derived topics are emptied and filled from SQL, then SQL moves to it.

The rows of `consumer_offsets` are written last. Until then the sinks refuse the cluster, and the
command can be repeated: it does everything again, in the same epoch.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from aiokafka import TopicPartition

from infra.adopt import alerts, seeds, topics
from infra.adopt.known import Known, known_events
from infra.adopt.stored import Stored, move, read_stored
from infra.adopt.subscriptions import publish_subscriptions
from infra.audit.scope import Scope
from infra.audit.snapshot import Snapshot, read_snapshot
from infra.database import run_once
from infra.errors import UserError
from infra.rebuild.changelog import Changelog, send
from infra.rebuild.run import compute, durations_of, open_producer, sessions_of
from infra.rebuild.standing import Cluster, open_cluster
from infra.topics import create_topics
from schemas.batched import batched
from schemas.codec import encode
from schemas.headers import Source
from schemas.kafka_names import prefixed
from schemas.positions import MAX_EPOCH, position
from schemas.records import ClusterEpoch
from schemas.settings import Settings
from schemas.topics import (
    ALERT_STATES,
    ALERTS,
    CLUSTER_EPOCHS,
    EVENTS_RAW,
    EVENTS_SESSION,
    PAGE_DURATIONS,
    SESSIONS,
    TOPICS,
    Topic,
)
from sinks.app import APP_ID as SINKS
from streams.app import APP_ID as STREAMS
from streams.app import site_partitioner
from streams.engine.changelog_headers import version_header
from streams.engine.producer import BatchProducer, OutRecord
from streams.live_app import APP_ID as LIVE

#: Seeds that are sent at a time.
_AT_ONCE = 5_000
_GROUPS = (STREAMS, LIVE, SINKS)

Report = Callable[[str], None]


@dataclass(slots=True)
class Adopted:
    """What an adoption did; `is_new` is False when the database belongs to the cluster already."""

    cluster_id: str
    epoch: int
    is_new: bool
    before: frozenset[tuple[str, int]] = frozenset()
    stored: Mapping[TopicPartition, int] = field(default_factory=dict)
    starts: Mapping[int, int] = field(default_factory=dict)
    states: int = 0
    ids: int = 0
    alerts: int = 0
    subscriptions: int = 0


async def adopt(
    settings: Settings, *, force: bool, report: Report, seen: Callable[[int], None]
) -> Adopted:
    """Have the database continue with the cluster of the settings. Safe to repeat at any time.

    `UserError` when workers run, the partitions differ, or Kafka or the database fail. With `force`
    also if the database seems to belong to the cluster: a topic was deleted and created again.
    """
    await create_topics(settings.kafka)
    async with open_cluster(settings, "The adoption is not complete; run this again") as cluster:
        await cluster.check_stopped(_GROUPS, _still_running)
        stored = await run_once(settings.database, read_stored)
        cluster_id = await cluster.cluster_id()
        done = Adopted(cluster_id, cluster.epoch, is_new=False, before=stored.clusters)
        is_empty = not stored.has_events and not stored.next_offsets
        if is_empty or (not force and await _belongs(cluster, cluster_id, stored)):
            return done
        _check_partitions(stored, settings.kafka.partitions)
        is_other = cluster_id not in {name for name, _ in stored.clusters}
        done.is_new, done.stored = True, stored.next_offsets
        done.epoch = max(stored.last_epoch + 1, cluster.epoch)
        if done.epoch > MAX_EPOCH:
            raise UserError(f"{MAX_EPOCH} clusters were adopted; there is no further epoch")
        adoption = _Adoption(settings, done, report, seen)
        begins, _ = await cluster.ranges_of(adoption.raw)
        await adoption.fill(begins, is_other=is_other)
        await cluster.check_stopped(_GROUPS, _still_running, 0)
        await adoption.move()
    return done


class _Adoption:
    """One adoption: what it works on, and what it has done."""

    def __init__(
        self, settings: Settings, done: Adopted, report: Report, seen: Callable[[int], None]
    ) -> None:
        self._settings = settings
        self._kafka = settings.kafka
        self._partitions = range(settings.kafka.partitions)
        self._of_site = site_partitioner(settings.kafka.partitions)
        self._done = done
        self._report = report
        self._seen = seen
        self._known: dict[int, Known] = {}

    async def fill(self, begins: Mapping[TopicPartition, int], *, is_other: bool) -> None:
        """Empty the derived topics of the cluster and fill them from SQL."""
        self._report("looking for events that the database has already")
        self._known = await known_events(self._kafka, self._settings.database, begins)
        self._done.starts = {number: one.start for number, one in self._known.items()}
        self._report("emptying the topics that are computed from events")
        await topics.empty(self._settings.kafka, with_alerts=is_other)
        async with open_producer(self._settings) as producer:
            await self._write_epoch(producer)
            self._report("copying event ids for the router")
            await self._seed(producer)
            self._report("computing sessions and page durations")
            await self._compute_results()
            self._report("computing alert states")
            await self._compute_alerts(producer)

    async def move(self) -> None:
        """Have the groups and the database continue with the cluster."""
        self._report("moving the database to the cluster")
        starts = {place: self._known[place.partition].start for place in self.raw}
        results = (SESSIONS, PAGE_DURATIONS, ALERTS)
        offsets = starts | dict.fromkeys(self._places(results), 0)
        await topics.commit(
            self._kafka, prefixed(STREAMS), starts | dict.fromkeys(self._places(topics.READ), 0)
        )
        await topics.commit(self._kafka, prefixed(SINKS), offsets)
        cluster_id, epoch = self._done.cluster_id, self._done.epoch
        await run_once(
            self._settings.database,
            lambda connection: move(connection, cluster_id, epoch, offsets),
        )

    @property
    def raw(self) -> list[TopicPartition]:
        """The partitions of `events-raw`."""
        return self._places([EVENTS_RAW])

    def _places(self, of: Iterable[Topic]) -> list[TopicPartition]:
        return [TopicPartition(topic.name, number) for topic in of for number in self._partitions]

    async def _write_epoch(self, producer: BatchProducer) -> None:
        done, now_us = self._done, time.time_ns() // 1_000
        record = ClusterEpoch(cluster_id=done.cluster_id, epoch=done.epoch, adopted_at=now_us)
        sent = OutRecord(done.cluster_id.encode(), encode(record))
        await producer.send(CLUSTER_EPOCHS.name, 0, [sent])

    async def _seed(self, producer: BatchProducer) -> None:
        until_ms = {number: one.start_ms for number, one in self._known.items()}
        loop = asyncio.get_running_loop()

        def work(snapshot: Snapshot) -> None:
            repeats = chain.from_iterable(one.repeats for one in self._known.values())
            records = seeds.records_of(chain(seeds.recent(snapshot, until_ms), repeats))
            for some in batched(records, _AT_ONCE):
                sending = send(producer, EVENTS_SESSION, some)
                asyncio.run_coroutine_threadsafe(sending, loop).result()
                self._done.ids += len(some)

        await read_snapshot(self._settings.database, work, lambda _: None)

    async def _compute_results(self) -> None:
        standing = {
            number: Source(number, position(self._done.epoch, one.start), one.start_ms)
            for number, one in self._known.items()
        }
        for target in (sessions_of(self._settings), durations_of(self._settings)):
            rebuilt = await compute(
                *(self._settings, target, Scope()),
                standing=standing,
                changelog=Changelog(target.topic),
                seen=self._seen,
            )
            self._done.states += rebuilt.states

    async def _compute_alerts(self, producer: BatchProducer) -> None:
        settings = self._settings
        self._done.subscriptions, subscribed = await publish_subscriptions(settings)
        now_ms = min(one.start_ms for one in self._known.values())
        limits = alerts.Limits(now_ms, settings.streams.max_states)
        url = settings.query.public_url or None
        computed = await read_snapshot(
            settings.database,
            lambda snapshot: alerts.compute(snapshot, subscribed, url, limits),
            self._seen,
        )
        self._done.states += len(computed.states)
        self._done.alerts = len(computed.missing)
        states = (
            (self._of_site(key.split(b":", 1)[0]), OutRecord(key, value, version_header(-1)))
            for key, value in computed.states.items()
        )
        await send(producer, ALERT_STATES, states)
        missing = (OutRecord(one.site_id.encode(), encode(one)) for one in computed.missing)
        await send(producer, ALERTS, ((self._of_site(one.key or b""), one) for one in missing))


def _still_running(members: Mapping[str, int]) -> str:
    return (
        f"Workers are running (consumer groups {', '.join(members)}). Stop `headrace up`, or the "
        "roles streams, live and sinks, then run this again"
    )


async def _belongs(cluster: Cluster, cluster_id: str, stored: Stored) -> bool:
    """Return True if the database is of this cluster and epoch, and no topic ends too early."""
    if stored.clusters != {(cluster_id, cluster.epoch)}:
        return False
    ours = {topic.name for topic in TOPICS}
    if any(place.topic not in ours for place in stored.next_offsets):
        return False  # the topics have another prefix now
    _, ends = await cluster.ranges_of(stored.next_offsets)
    return all(ends.get(place, 0) >= offset for place, offset in stored.next_offsets.items())


def _check_partitions(stored: Stored, partitions: int) -> None:
    least = 1 + (-1 if stored.last_partition is None else stored.last_partition)
    if stored.partitions in (None, partitions) and least <= partitions:
        return
    had = stored.partitions or f"at least {least}"
    raise UserError(
        f"The topics of this cluster have {partitions} partitions, those of the database's had "
        f"{had}: a session would be on two of them. Delete headrace's topics here and create them "
        f"with HEADRACE_KAFKA__PARTITIONS={stored.partitions or least}"
    )
