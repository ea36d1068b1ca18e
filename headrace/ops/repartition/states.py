"""Move keyed states, and the router's memory of event ids, to the partitions of their keys."""

import heapq
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from headrace.ops.rebuild.changelog import send
from schemas.event_types import TICK
from schemas.headers import CLIENT_ID, EVENT_ID, SOURCE, TYPE, Source, find
from schemas.kafka_settings import KafkaSettings
from schemas.topics import ALERT_STATES, EVENTS_SESSION, SESSIONS, Topic
from streams.domain.routing.dedupe import CLIENT_IDS
from streams.engine.changelog_headers import version_header, version_of
from streams.engine.log_tail import LogTail
from streams.engine.producer import BatchProducer, OutRecord

_BATCH_SIZE = 5_000


class Moved(NamedTuple):
    """A changelog whose states follow their keys; `part_of` returns the deciding part of a key."""

    topic: Topic
    part_of: Callable[[bytes], bytes]


def _site(key: bytes) -> bytes:
    return key.split(b":", 1)[0]


#: The key of a page's durations contains the number of its partition, so its state stays.
MOVED = (Moved(SESSIONS, lambda key: key), Moved(ALERT_STATES, _site))


class States(NamedTuple):
    """The states of one partition of a changelog by key, and the highest version of a record."""

    values: dict[bytes, bytes]
    version: int


async def read_states(kafka: KafkaSettings, topic: Topic, partition: int) -> States:
    """Read a partition of a changelog, in the way that a stream worker restores it (ADR 2)."""
    versions: dict[bytes, int] = {}
    values: dict[bytes, bytes | None] = {}
    async for fetched in LogTail(kafka, topic.name, sys.maxsize).catch_up(partition):
        for record in fetched:
            version = version_of(record)
            if version >= versions.get(record.key, -1):
                versions[record.key], values[record.key] = version, record.value
    found = {key: value for key, value in values.items() if value is not None}
    return States(found, max(versions.values(), default=-1))


async def move_states(
    kafka: KafkaSettings,
    producer: BatchProducer,
    changelog: Moved,
    partitions: int,
    partition_of: Callable[[bytes], int],
) -> int:
    """Write each state to the partition of its key, then delete it in its previous partition.

    After a crash in between, a state is in both, with the same value: the command is repeated
    before any worker can start. Returns the number of moved states.
    """
    topic, part_of = changelog
    moved = 0
    versions = [(await read_states(kafka, topic, one)).version for one in range(partitions)]
    for partition in range(partitions):
        states = await read_states(kafka, topic, partition)
        leaving = {
            key: to for key in states.values if (to := partition_of(part_of(key))) != partition
        }
        # The latest version of the partition, so that workers restore these records.
        arriving = (
            (to, OutRecord(key, states.values[key], version_header(versions[to])))
            for key, to in leaving.items()
        )
        await send(producer, topic, arriving)
        deleted = version_header(states.version)
        await send(producer, topic, ((partition, OutRecord(k, None, deleted)) for k in leaving))
        moved += len(leaving)
    return moved


async def seed_router(
    kafka: KafkaSettings,
    producer: BatchProducer,
    partitions: int,
    partition_of: Callable[[bytes], int],
) -> int:
    """Write the ids of routed events to the partitions of their keys, in the order of log time.

    The router restores its memory from `events-session`. Seeds are punctuation records (ADR 43).
    Returns their number.
    """
    seeds: list[tuple[int, OutRecord]] = []
    count = 0
    async for partition, record in _by_log_time(kafka, partitions):
        if (to := partition_of(record.key)) == partition:
            continue
        kept = (pair for pair in record.headers if pair[0] in (EVENT_ID, CLIENT_ID, SOURCE))
        seeds.append((to, OutRecord(record.key, None, (*kept, (TYPE, TICK.encode())))))
        if len(seeds) >= _BATCH_SIZE:
            await send(producer, EVENTS_SESSION, seeds)
            count, seeds = count + len(seeds), []
    await send(producer, EVENTS_SESSION, seeds)
    return count + len(seeds)


async def _by_log_time(kafka: KafkaSettings, partitions: int) -> AsyncIterator[tuple[int, Any]]:
    """Yield the routed events that the router may remember, merged by log time."""
    readers = [_routed(kafka, partition) for partition in range(partitions)]
    heads: list[tuple[int, int, Any]] = []

    async def advance(partition: int) -> None:
        if (head := await anext(readers[partition], None)) is not None:
            heapq.heappush(heads, (head[0], partition, head[1]))

    for partition in range(partitions):
        await advance(partition)
    while heads:
        _, partition, record = heapq.heappop(heads)
        yield partition, record
        await advance(partition)


async def _routed(kafka: KafkaSettings, partition: int) -> AsyncIterator[tuple[int, Any]]:
    """Yield the last routed events of a partition with their log times."""
    async for fetched in LogTail(kafka, EVENTS_SESSION.name, CLIENT_IDS.limit).catch_up(partition):
        for record in fetched:
            packed = find(record.headers, SOURCE)
            if record.key is None or packed is None or find(record.headers, EVENT_ID) is None:
                continue
            try:
                yield Source.unpack(packed).log_ms, record
            except ValueError:  # not written by the router
                continue
