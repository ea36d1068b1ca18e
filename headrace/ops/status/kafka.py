"""The status of the roles in Kafka: group members, lag, rate, dead letters."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import stamina
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from headrace.admin.clients import open_clients
from headrace.admin.topics import read_states
from headrace.errors import KafkaProblemError
from headrace.ops.status import dead_letters, next_records
from headrace.ops.status.model import ConsumerProgress, DeadLetterCount, Role
from headrace.ops.status.processes import Heartbeat, read_heartbeats
from kafka_clients.access import check_access
from schemas.kafka_settings import KafkaSettings
from schemas.stages import SINK_STAGES, STREAM_STAGES
from schemas.topic_prefix import prefixed
from schemas.topics import (
    CLUSTER_EPOCHS,
    DEAD_LETTERS,
    EVENTS_RAW,
    EVENTS_SESSION,
    PROCESSES,
    TOPICS,
    Topic,
)
from sinks.app import APP_ID as SINKS
from streams.app import APP_ID as STREAMS
from streams.engine.cluster import Cluster, read_epoch
from streams.engine.offsets import STARTING_ERRORS, committed_offsets
from streams.live_app import APP_ID as LIVE

#: The consumer group and the topics of each consuming role.
_CONSUMERS: dict[str, tuple[str, Sequence[Topic]]] = {
    "streams": (STREAMS, list(STREAM_STAGES.values())),
    "live": (LIVE, [EVENTS_SESSION]),
    "sinks": (SINKS, list(SINK_STAGES.values())),
}
#: Seconds between the two samples, longer than the workers' commit interval.
SAMPLE_SECONDS = 3.0

#: Consumer options for many fetches of single records: do not wait for more.
_SINGLE_RECORDS: dict[str, Any] = {"fetch_max_wait_ms": 10, "max_partition_fetch_bytes": 64 * 1024}

Offsets = Mapping[TopicPartition, int]


class _Sample(NamedTuple):
    """Committed offsets by role, and end offsets, with the monotonic and wall clock time."""

    at: float
    time: datetime
    committed: dict[str, Offsets]
    ends: Offsets


@dataclass(frozen=True, slots=True)
class KafkaStatus:
    """The status in Kafka. `missing` are topics that do not exist.

    `ahead_seconds` is how far the last log append time is ahead of this machine's clock.
    """

    roles: list[Role]
    consumers: list[ConsumerProgress]
    dead_letters: list[DeadLetterCount]
    missing: list[str]
    cluster: Cluster
    ahead_seconds: float
    heartbeats: list[Heartbeat]


async def read_status(kafka: KafkaSettings) -> KafkaStatus:
    """Sample the offsets twice, a few seconds apart, and return the status.

    Raises `UserError` if Kafka does not respond, `KafkaProblemError` if it denies access.
    """
    if problem := await check_access(kafka, TOPICS):
        raise KafkaProblemError(problem)
    async with open_clients(kafka, **_SINGLE_RECORDS) as (admin, consumer):
        partitions = {
            state.topic.name: [
                TopicPartition(state.topic.name, number) for number in range(state.partitions or 0)
            ]
            for state in await read_states(admin)
        }
        first = await _sample(admin, consumer, partitions)
        await asyncio.sleep(SAMPLE_SECONDS)
        second = await _sample(admin, consumer, partitions)
        consumers = [
            await _progress_of(consumer, role, partitions[topic.name], first, second)
            for role, (_, inputs) in _CONSUMERS.items()
            for topic in inputs
            if partitions[topic.name]
        ]
        roles = [
            Role(name=role, workers=await _count_members(admin, group))
            for role, (group, _) in _CONSUMERS.items()
        ]
        cluster_id = str((await admin.describe_cluster())["cluster_id"])
        ahead = await _ahead_seconds(consumer, partitions[EVENTS_RAW.name], second.ends)
        heartbeats = await read_heartbeats(consumer, partitions[PROCESSES.name])
        kept = await _count_records(
            consumer, [tp for topic in DEAD_LETTERS for tp in partitions[topic.name]]
        )
    counts = await dead_letters.counts(kafka, kept) if kept else []
    missing = [name for name, existing in partitions.items() if not existing]
    epoch = 0 if CLUSTER_EPOCHS.name in missing else await read_epoch(kafka)
    cluster = Cluster(cluster_id, epoch)
    return KafkaStatus(roles, consumers, counts, missing, cluster, ahead, heartbeats)


async def _ahead_seconds(
    consumer: Any, partitions: Sequence[TopicPartition], ends: Mapping[TopicPartition, int]
) -> float:
    """Return how far the last log append time is ahead of this machine's clock; at least 0.0."""
    last = {tp: ends[tp] - 1 for tp in partitions if ends.get(tp)}
    times = (await next_records.log_times(consumer, last, ends)).values()
    newest_ms = max((at for at in times if at is not None), default=0)
    return max(0.0, newest_ms / 1_000 - time.time())


@stamina.retry(on=STARTING_ERRORS, attempts=20, timeout=15, wait_max=1)
async def _sample(
    admin: AIOKafkaAdminClient, consumer: Any, partitions: Mapping[str, Sequence[TopicPartition]]
) -> _Sample:
    """Sample the offsets; retry while a new cluster creates the group coordinator."""
    committed: dict[str, Offsets] = {}
    for role, (group, _) in _CONSUMERS.items():
        committed[role] = await committed_offsets(admin, prefixed(group))
    names = {topic.name for _, inputs in _CONSUMERS.values() for topic in inputs}
    # End offsets are read last, so that no lag is negative, and records older than `now` are
    # below them.
    now = datetime.now(UTC)
    ends = await consumer.end_offsets([tp for name in names for tp in partitions[name]])
    return _Sample(time.monotonic(), now, committed, ends)


async def _progress_of(
    consumer: Any, role: str, partitions: Sequence[TopicPartition], first: _Sample, second: _Sample
) -> ConsumerProgress:
    begins = await consumer.beginning_offsets(partitions)

    def done(sample: _Sample, tp: TopicPartition) -> int:
        # Groups start at the earliest offset; records deleted by retention are not lag.
        return max(sample.committed[role].get(tp, 0), int(begins[tp]))

    behind = {tp: done(second, tp) for tp in partitions if second.ends[tp] > done(second, tp)}
    next_times = await next_records.log_times(consumer, behind, second.ends)
    # The remaining offsets may have no records, after compaction, or transaction markers only.
    lags = {tp: second.ends[tp] - behind[tp] for tp in behind if tp in next_times}
    first_lag = sum(first.ends[tp] - done(first, tp) for tp in partitions)
    progress = {tp: done(second, tp) - done(first, tp) for tp in partitions}
    had_lag = {tp for tp in partitions if first.ends[tp] > done(first, tp)}
    times = [at for at in next_times.values() if at is not None]
    oldest = datetime.fromtimestamp(min(times) / 1_000, UTC) if times else None
    return ConsumerProgress(
        role=role,
        topic=partitions[0].topic,
        lag=sum(lags.values()),
        grows=sum(lags.values()) > first_lag,
        rate=sum(progress.values()) / (second.at - first.at),
        done_until=oldest if lags else second.time,
        behind_seconds=(
            None if oldest is None else max(0.0, (datetime.now(UTC) - oldest).total_seconds())
        ),
        stuck=sorted(tp.partition for tp in had_lag if not progress[tp] and tp in lags),
    )


async def _count_members(admin: AIOKafkaAdminClient, group: str) -> int:
    (response,) = await admin.describe_consumer_groups([prefixed(group)])
    (found,) = response.groups
    return len(found[5])  # error code, group, state, protocol type, protocol, members, …


async def _count_records(consumer: Any, partitions: Sequence[TopicPartition]) -> dict[str, int]:
    """Return the number of records in each topic."""
    begins = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    kept: Counter[str] = Counter()
    for tp in partitions:
        kept[tp.topic] += ends[tp] - begins[tp]
    return kept
