"""Records that expired before a group had read them: they are routed again (docs/adr/0042)."""

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


class Logs(NamedTuple):
    """What a group has committed, and where partitions begin and end."""

    committed: Offsets
    begins: Offsets
    ends: Offsets


class Flow(NamedTuple):
    """The topic that is routed, and the topics that it is routed to.

    `spread` are those that records of any source partition may come to, in any partition.
    """

    source: str
    routed: Collection[str]
    spread: Collection[str]


def gaps(logs: Logs, topics: Collection[str]) -> dict[TopicPartition, int]:
    """Return how many records of each partition were deleted before the group had read them."""
    return {
        place: begin - logs.committed.get(place, 0)
        for place, begin in logs.begins.items()
        if place.topic in topics and begin > logs.committed.get(place, 0)
    }


def positions(logs: Logs, flow: Flow) -> dict[TopicPartition, int]:
    """Return the offsets to commit, so that what was lost is routed again in its order.

    What is left of a partition with a gap is skipped, for it would come before what was lost. The
    source is read from its start: what was applied before is skipped by its offset there.
    """
    lost = gaps(logs, flow.routed)
    wanted = {place: logs.ends[place] for place in lost}
    everywhere = any(place.topic in flow.spread for place in lost)
    again = {place.partition for place in lost}
    return wanted | {
        place: begin
        for place, begin in logs.begins.items()
        if place.topic == flow.source and (everywhere or place.partition in again)
    }


def unrouted(logs: Logs, source: str) -> int:
    """Return how many records of the source were deleted before the group had routed them.

    Where the group has committed nothing, it may have routed all: its offsets expired, too.
    """
    lost = gaps(logs, [source])
    return sum(number for place, number in lost.items() if place in logs.committed)


async def route_again(
    kafka: KafkaSettings, group: str, flow: Flow, stop: asyncio.Event, leaders: LeaderCheck
) -> int:
    """Have the group route again what it lost; return when no partition has a gap.

    The answer is how many records expired in the source before they were routed: these are lost.
    Workers that run have dealt with it: Kafka refuses offsets of a group that has members, and
    this waits until their positions show it, or they are gone.
    """
    reported: set[str] = set()
    expired = 0
    while not stop.is_set():
        try:
            logs = await _read_logs(kafka, group, flow)
            expired = max(expired, unrouted(logs, flow.source))
            _report(logs, flow, reported)
            wanted = positions(logs, flow)
            if not wanted or await _commit(kafka, group, wanted):
                break
        except (KafkaError, OSError) as error:  # a new cluster has no coordinators yet
            if repr(error) not in reported:
                log.info("waiting for the positions of %s: %r", group, error)
                reported.add(repr(error))
            if isinstance(error, KafkaTimeoutError):
                await leaders.check([flow.source, *flow.routed])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_SECONDS):
                await stop.wait()
    leaders.problem = None
    return expired


async def _read_logs(kafka: KafkaSettings, group: str, flow: Flow) -> Logs:
    places = [
        TopicPartition(topic, number)
        for topic in (flow.source, *flow.routed)
        for number in range(kafka.partitions)
    ]
    offsets = ClusterOffsets(kafka, places)
    try:
        await offsets.start()
        committed = await offsets.committed(group)
        return Logs(committed, await offsets.begins(places), await offsets.ends(places))
    finally:
        await offsets.stop()


async def _commit(kafka: KafkaSettings, group: str, wanted: Offsets) -> bool:
    """Commit all of it in one request, or nothing; False if the group has members."""
    consumer = make_consumer(kafka, group_id=group)
    await consumer.start()
    try:
        consumer.assign(list(wanted))
        await consumer.commit(dict(wanted))
    except KafkaError as error:
        log.info("the positions of %s cannot be set now: %r", group, error)
        return False
    finally:
        await consumer.stop()
    return True


def _report(logs: Logs, flow: Flow, reported: set[str]) -> None:
    """Log each line that is not in `reported`, and add it."""
    for line in _lines(logs, flow):
        if line not in reported:
            log.warning(line)
            reported.add(line)


def _lines(logs: Logs, flow: Flow) -> Iterator[str]:
    lost = gaps(logs, flow.routed)
    for topic in flow.routed:
        count = sum(number for place, number in lost.items() if place.topic == topic)
        if count:
            yield (
                f"{topic}: {counted(count, 'record')} expired before they were processed; events "
                f"are routed again from the start of {flow.source}, and each counts once"
            )
    if expired := unrouted(logs, flow.source):
        yield (
            f"{flow.source}: {counted(expired, 'record')} expired before they were routed; events "
            "among them are missing in sessions, page durations and alerts. `headrace rebuild` "
            "computes sessions and page durations from what the sinks have stored"
        )
