"""Recovery of records that expired before their group read them (docs/adr/0042).

The router reads its source again from the beginning, and writes them again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError

from kafka_clients.clients import make_consumer
from schemas.kafka_settings import KafkaSettings
from schemas.plurals import counted
from streams.engine.leaders import LeaderCheck
from streams.engine.offsets import ClusterOffsets

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.1

Offsets = Mapping[TopicPartition, int]


class LogOffsets(NamedTuple):
    """The committed offsets of a group, and the beginning and end offsets of the partitions."""

    committed: Offsets
    begins: Offsets
    ends: Offsets


class Flow(NamedTuple):
    """The topic that is routed, and the topics that it is routed to.

    The topics in `spread` are repartitioned: each partition has records of all source partitions.
    """

    source: str
    routed: Collection[str]
    spread: Collection[str]


def expired_counts(logs: LogOffsets, topics: Collection[str]) -> dict[TopicPartition, int]:
    """Return the number of records per partition that expired before the group read them.

    Partitions without such records are omitted.
    """
    return {
        tp: begin - logs.committed.get(tp, 0)
        for tp, begin in logs.begins.items()
        if tp.topic in topics and begin > logs.committed.get(tp, 0)
    }


def offsets_to_commit(logs: LogOffsets, flow: Flow) -> dict[TopicPartition, int]:
    """Return the offsets to commit, so that lost records are routed again in order; {} if none.

    A partition that lost records is set to its end: its remaining records are routed again after
    the lost ones. The source is set to its beginning: agents skip the events that they have applied
    by their source offset.
    """
    lost = expired_counts(logs, flow.routed)
    offsets = {tp: logs.ends[tp] for tp in lost}
    is_spread = any(tp.topic in flow.spread for tp in lost)
    affected = {tp.partition for tp in lost}
    return offsets | {
        tp: begin
        for tp, begin in logs.begins.items()
        if tp.topic == flow.source and (is_spread or tp.partition in affected)
    }


def expired_unrouted(logs: LogOffsets, source: str) -> int:
    """Return the number of records of the source that expired before the group routed them.

    Ignores partitions without a committed offset: the group may have routed all of their records,
    and its offsets may have expired, too.
    """
    lost = expired_counts(logs, [source])
    return sum(number for tp, number in lost.items() if tp in logs.committed)


async def route_again(
    kafka: KafkaSettings, group: str, flow: Flow, stop: asyncio.Event, leaders: LeaderCheck
) -> int:
    """Reset offsets of the group so that it routes lost records again; return when none are lost.

    Return the number of records that expired in the source before they were routed: these cannot
    be recovered. Kafka rejects the commit while the group has members. Such a member did the same
    when it started, so this waits until the committed offsets show it or all members have left.
    """
    reported: set[str] = set()
    expired = 0
    while not stop.is_set():
        try:
            logs = await _read_logs(kafka, group, flow)
            expired = max(expired, expired_unrouted(logs, flow.source))
            _report(logs, flow, reported)
            offsets = offsets_to_commit(logs, flow)
            if not offsets or await _commit(kafka, group, offsets):
                break
        except (KafkaError, OSError) as error:  # a new cluster has no coordinators yet
            if repr(error) not in reported:
                log.info("waiting for the offsets of the group %s: %r", group, error)
                reported.add(repr(error))
            if isinstance(error, KafkaTimeoutError):
                await leaders.check([flow.source, *flow.routed])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_SECONDS):
                await stop.wait()
    leaders.problem = None
    return expired


async def _read_logs(kafka: KafkaSettings, group: str, flow: Flow) -> LogOffsets:
    tps = [
        TopicPartition(topic, number)
        for topic in (flow.source, *flow.routed)
        for number in range(kafka.partitions)
    ]
    offsets = ClusterOffsets(kafka, tps)
    try:
        await offsets.start()
        committed = await offsets.committed(group)
        return LogOffsets(committed, await offsets.begins(tps), await offsets.ends(tps))
    finally:
        await offsets.stop()


async def _commit(kafka: KafkaSettings, group: str, offsets: Offsets) -> bool:
    """Commit offsets in one request; return False if Kafka rejects it: the group has members."""
    consumer = make_consumer(kafka, group_id=group)
    await consumer.start()
    try:
        consumer.assign(list(offsets))
        await consumer.commit(dict(offsets))
    except KafkaError as error:
        log.info("the offsets of the group %s cannot be reset yet: %r", group, error)
        return False
    finally:
        await consumer.stop()
    return True


def _report(logs: LogOffsets, flow: Flow, reported: set[str]) -> None:
    """Log each line that is not in `reported`, and add it."""
    for line in _lines(logs, flow):
        if line not in reported:
            log.warning(line)
            reported.add(line)


def _lines(logs: LogOffsets, flow: Flow) -> Iterator[str]:
    lost = expired_counts(logs, flow.routed)
    for topic in flow.routed:
        count = sum(number for tp, number in lost.items() if tp.topic == topic)
        if count:
            yield (
                f"{topic}: {counted(count, 'record')} expired before they were processed; events "
                f"are routed again from the beginning of {flow.source}, and deduplicated"
            )
    if expired := expired_unrouted(logs, flow.source):
        yield (
            f"{flow.source}: {counted(expired, 'record')} expired before they were routed; events "
            "among them are missing from sessions, page durations and alerts. `headrace rebuild` "
            "computes sessions and page durations from what the sinks have stored"
        )
