"""Add partitions to the topics of a cluster, and continue exactly where the roles have stopped.

The partition of a key changes, and with it the order of positions in `events-raw`. So all events
are processed first, keyed states move to the partitions of their keys, and a new epoch begins.

`events-raw` gets its partitions after the other topics, and the rows of `consumer_offsets` change
last. Before that, workers reject the topics, or sinks the epoch; the command can be repeated.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
import stamina
from aiokafka import TopicPartition
from sqlalchemy import Connection, insert, update

from headrace.admin.database import run_once
from headrace.errors import UserError
from headrace.ops.adopt.offsets import StoredOffsets, read_offsets
from headrace.ops.exclusive import exclusive
from headrace.ops.rebuild.changelog import send
from headrace.ops.rebuild.cluster import Cluster, open_cluster
from headrace.ops.rebuild.run import open_producer
from headrace.ops.repartition.drained import is_punctuation, records_since, unprocessed
from headrace.ops.repartition.states import MOVED, move_states, seed_router
from headrace.ops.repartition.topics import grow, partition_counts
from schemas.codec import encode
from schemas.plurals import counted
from schemas.positions import MAX_EPOCH
from schemas.records import ClusterEpoch
from schemas.settings import Settings
from schemas.topic_prefix import prefixed
from schemas.topics import (
    CLUSTER_EPOCHS,
    EVENTS_ALERT,
    EVENTS_PAGELEAVE,
    EVENTS_RAW,
    EVENTS_SESSION,
    TOPICS,
)
from sinks.app import APP_ID as SINKS
from sinks.sql.tables import ConsumerOffsetRow, table_of
from sinks.sql.types import now_utc
from streams.app import APP_ID as STREAMS
from streams.app import partitioner
from streams.engine.cluster import EPOCH_STARTS, find_epoch
from streams.engine.offsets import STARTING_ERRORS, fetch_committed
from streams.engine.producer import BatchProducer, OutRecord
from streams.live_app import APP_ID as LIVE

_OFFSETS = table_of(ConsumerOffsetRow)
_ROUTED = (EVENTS_SESSION, EVENTS_PAGELEAVE, EVENTS_ALERT)

Offsets = Mapping[TopicPartition, int]


@dataclass(slots=True)
class RepartitionResult:
    """The numbers of partitions before and after, and of what was moved. `epoch` is the new one."""

    before: int
    partitions: int
    epoch: int
    states: int = 0
    ids: int = 0
    #: Events that were accepted while the command ran.
    events: int = 0
    is_new: bool = field(default=True)


async def repartition(
    settings: Settings, partitions: int, on_step: Callable[[str], None]
) -> RepartitionResult:
    """Add partitions to the topics, up to this number. Idempotent.

    Raises `UserError` if roles or another such command are running, events are not processed yet,
    there are more partitions already, the database belongs to another cluster, or Kafka or the
    database fails.
    """
    async with exclusive(settings.database):
        return await _repartition(settings, partitions, on_step)


async def _repartition(
    settings: Settings, partitions: int, on_step: Callable[[str], None]
) -> RepartitionResult:
    kafka = settings.kafka
    async with open_cluster(settings, "The topics are not ready; run this again") as cluster:
        await cluster.check_stopped((STREAMS, LIVE, SINKS), _still_running)
        counts = await partition_counts(kafka)
        before = counts[EVENTS_RAW.name]
        if max(counts.values()) > partitions:
            raise UserError(
                f"The topics have {max(counts.values())} partitions, and Kafka cannot remove any: "
                f"choose more than {partitions}"
            )
        stored = await run_once(settings.database, read_offsets)
        await _check_cluster(cluster, stored)
        is_other_epoch = any(epoch != cluster.epoch for _, epoch in stored.clusters)
        if is_other_epoch and not (await find_epoch(kafka)).starts:
            raise UserError("`headrace adopt-cluster` did not finish: run it first")
        is_repeated = is_other_epoch or min(counts.values()) != max(counts.values())
        result = RepartitionResult(before, partitions, cluster.epoch)
        if before == partitions and not is_repeated:
            result.is_new = False
            return result
        work = _Repartitioning(settings, cluster, stored, result, on_step)
        on_step("looking for events that are not processed yet")
        await work.check_drained(is_repeated=is_repeated)
        result.epoch = 1 + max(cluster.epoch, stored.last_epoch)
        if result.epoch > MAX_EPOCH:
            raise UserError(f"No epoch is left: the last one is {MAX_EPOCH}")
        await work.run(counts)
    return result


class _Repartitioning:
    """One execution of the command."""

    def __init__(
        self,
        settings: Settings,
        cluster: Cluster,
        stored: StoredOffsets,
        result: RepartitionResult,
        on_step: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._kafka = settings.kafka
        self._cluster = cluster
        self._stored = stored.next_offsets
        self._result = result
        self._on_step = on_step
        self._partition_of = partitioner(result.partitions)

    @property
    def _raw(self) -> list[TopicPartition]:
        """The partitions of `events-raw` before the command."""
        return [_raw_partition(number) for number in range(self._result.before)]

    async def check_drained(self, *, is_repeated: bool) -> None:
        """Raise `UserError` if `streams` or `sinks` have not processed all events.

        In a repeated run, events that the sinks have not read were accepted during the first one.
        """
        routed = [TopicPartition(topic.name, tp.partition) for topic in _ROUTED for tp in self._raw]
        _, ends = await self._cluster.offset_ranges([*self._raw, *routed])
        read = stamina.retry(on=STARTING_ERRORS, attempts=20, timeout=15, wait_max=1)
        committed = await read(fetch_committed)(self._kafka, prefixed(STREAMS))
        until = {**ends, **{tp: self._stored.get(tp, 0) for tp in self._raw}}
        lags = {
            "streams": await unprocessed(
                self._kafka, [*self._raw, *routed], committed, until if is_repeated else ends
            ),
            "sinks": []
            if is_repeated
            else await unprocessed(self._kafka, self._raw, self._stored, ends),
        }
        for role, behind in lags.items():
            if behind:
                raise UserError(
                    f"The role {role} has not processed all events: {', '.join(behind)}. Stop "
                    "`api` (or what sends events), start the roles until `headrace status` shows "
                    "no lag, stop them, and run this again"
                )

    async def run(self, counts: Mapping[str, int]) -> None:
        """Add the partitions, move states and ids by key, and begin the epoch."""
        total = self._result.partitions
        others = [name for name in counts if name != EVENTS_RAW.name]
        self._on_step("adding partitions")
        await grow(self._kafka, {name: total for name in others if counts[name] < total})
        async with open_producer(self._settings) as producer:
            self._on_step("moving states")
            for changelog in MOVED:
                self._result.states += await move_states(
                    self._kafka, producer, changelog, total, self._partition_of
                )
            self._on_step("copying event ids for the router")
            self._result.ids = await seed_router(self._kafka, producer, total, self._partition_of)
            await self._cluster.check_stopped((STREAMS, LIVE, SINKS), _still_running, 0)
            _, starts = await self._cluster.offset_ranges(self._raw)
            await self._write_epoch(producer, starts)
        self._on_step("adding partitions to events-raw")
        if self._result.before < total:
            await grow(self._kafka, {EVENTS_RAW.name: total})
        async with open_producer(self._settings) as producer:
            await self._send_again(producer, starts)
        cluster_id, epoch = await self._cluster.cluster_id(), self._result.epoch
        offsets = dict.fromkeys(map(_raw_partition, range(total)), 0) | dict(starts)
        await run_once(
            self._settings.database,
            lambda connection: begin_epoch(connection, cluster_id, epoch, offsets),
        )

    async def _write_epoch(self, producer: BatchProducer, starts: Offsets) -> None:
        result, now_us = self._result, time.time_ns() // 1_000
        cluster_id = await self._cluster.cluster_id()
        record = ClusterEpoch(cluster_id=cluster_id, epoch=result.epoch, adopted_at=now_us)
        packed = msgspec.json.encode({tp.partition: offset for tp, offset in starts.items()})
        sent = OutRecord(cluster_id.encode(), encode(record), ((EPOCH_STARTS, packed),))
        await producer.send(CLUSTER_EPOCHS.name, 0, [sent])

    async def _send_again(self, producer: BatchProducer, starts: Offsets) -> None:
        """Send events that were accepted during the command to the partitions of their keys.

        Their ids are the same, so a repetition has no effect.
        """
        for tp, start in starts.items():
            found = [
                record
                async for record in records_since(self._kafka, tp, self._stored.get(tp, 0))
                if record.offset < start and not is_punctuation(record)
            ]
            await send(
                producer,
                EVENTS_RAW,
                (
                    (
                        tp.partition if record.key is None else self._partition_of(record.key),
                        OutRecord(record.key, record.value, record.headers),
                    )
                    for record in found
                ),
            )
            self._result.events += len(found)


async def _check_cluster(cluster: Cluster, stored: StoredOffsets) -> None:
    cluster_id = await cluster.cluster_id()
    ours = {topic.name for topic in TOPICS}
    if any(name != cluster_id or epoch > cluster.epoch for name, epoch in stored.clusters) or any(
        tp.topic not in ours for tp in stored.next_offsets
    ):
        raise UserError(
            f"The database belongs to another Kafka cluster than {cluster_id}, or to topics of "
            "another prefix: configure those that belong together, or run `headrace adopt-cluster`"
        )


def begin_epoch(connection: Connection, cluster_id: str, epoch: int, offsets: Offsets) -> None:
    """Assign the database to the epoch; the sinks continue at these offsets of `events-raw`.

    New partitions get rows, too: a backup that is made before the sinks start has the number of
    partitions from them.
    """
    own = _OFFSETS.c.app == SINKS
    changes = {"cluster_id": cluster_id, "kafka_epoch": epoch, "updated_at": now_utc()}
    connection.execute(update(_OFFSETS).where(own).values(changes))
    for tp, offset in offsets.items():
        here = (_OFFSETS.c.topic == tp.topic) & (_OFFSETS.c.partition == tp.partition)
        moved = connection.execute(update(_OFFSETS).where(own, here).values(next_offset=offset))
        if not moved.rowcount:
            key = {"app": SINKS, "topic": tp.topic, "partition": tp.partition}
            row = {**key, **changes, "next_offset": offset}
            connection.execute(insert(_OFFSETS).values(row))


def _raw_partition(number: int) -> TopicPartition:
    return TopicPartition(EVENTS_RAW.name, number)


def _still_running(members: Mapping[str, int]) -> str:
    workers = counted(sum(members.values()), "worker")
    return (
        f"{workers} of the groups {', '.join(members)} are running. Stop `headrace up`, or first "
        "`api` and then the roles streams, live and sinks, and run this again"
    )
