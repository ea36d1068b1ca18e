"""What Kafka tells of the roles: group members, lag, rate, dead letters."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import stamina
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

from infra.errors import UserError
from infra.status.model import DeadLetterCount, Flow, Role
from infra.topics import describe_topics
from schemas.settings import KafkaSettings
from schemas.stages import SINK_STAGES, STREAM_STAGES
from schemas.topics import DEAD_LETTERS, EVENTS_SESSION, Topic
from sinks.app import APP_ID as SINKS
from streams.app import APP_ID as STREAMS
from streams.live_app import APP_ID as LIVE

#: Each role that reads, its group and its topics.
_READERS: dict[str, tuple[str, Sequence[Topic]]] = {
    "streams": (STREAMS, list(STREAM_STAGES.values())),
    "live": (LIVE, [EVENTS_SESSION]),
    "sinks": (SINKS, list(SINK_STAGES.values())),
}
#: Between two looks: more than the workers need between two commits.
LOOK_SECONDS = 3.0
_HOUR_MS = 3_600_000
_FETCH_SECONDS = 5.0

Offsets = Mapping[TopicPartition, int]


class _Look(NamedTuple):
    at: float
    done: dict[str, Offsets]
    ends: Offsets


@dataclass(frozen=True, slots=True)
class KafkaStatus:
    """What Kafka tells; `missing` are topics that are not there."""

    roles: list[Role]
    flows: list[Flow]
    dead_letters: list[DeadLetterCount]
    missing: list[str]


async def look(kafka: KafkaSettings) -> KafkaStatus:
    """Look twice, a few seconds apart; `UserError` when Kafka does not answer."""
    topics = {state.topic.name: state.partitions for state in await describe_topics(kafka)}
    async with _clients(kafka) as (admin, consumer):
        places = {
            name: [TopicPartition(name, number) for number in range(count or 0)]
            for name, count in topics.items()
        }
        first = await _look(admin, consumer, places)
        await asyncio.sleep(LOOK_SECONDS)
        second = await _look(admin, consumer, places)
        flows = [
            await _flow(consumer, role, places[topic.name], first, second)
            for role, (_, read) in _READERS.items()
            for topic in read
            if places[topic.name]
        ]
        roles = [
            Role(name=role, workers=await _workers(admin, group))
            for role, (group, _) in _READERS.items()
        ]
        letters = [place for topic in DEAD_LETTERS for place in places[topic.name]]
        counts = await _dead_letters(consumer, letters)
    return KafkaStatus(roles, flows, counts, [name for name, count in topics.items() if not count])


@stamina.retry(on=GroupCoordinatorNotAvailableError, attempts=20, timeout=15, wait_max=1)
async def _look(
    admin: AIOKafkaAdminClient, consumer: Any, places: Mapping[str, Sequence[TopicPartition]]
) -> _Look:
    """Look once; a cluster that never had a group makes their coordinator first."""
    done: dict[str, Offsets] = {}
    for role, (group, _) in _READERS.items():
        found = await admin.list_consumer_group_offsets(group)
        done[role] = {place: told.offset for place, told in found.items()}
    read = {topic.name for _, topics in _READERS.values() for topic in topics}
    # Ends after what is done: never a negative lag.
    ends = await consumer.end_offsets([place for name in read for place in places[name]])
    return _Look(time.monotonic(), done, ends)


async def _flow(
    consumer: Any, role: str, places: Sequence[TopicPartition], first: _Look, second: _Look
) -> Flow:
    begin = await consumer.beginning_offsets(places)

    def done(look: _Look, place: TopicPartition) -> int:
        # What retention deleted is nobody's work any more.
        return max(look.done[role].get(place, 0), int(begin[place]))

    lags = {place: second.ends[place] - done(second, place) for place in places}
    before = sum(first.ends[place] - done(first, place) for place in places)
    moved = {place: done(second, place) - done(first, place) for place in places}
    # Work that was there at the first look, and is at the second, untouched.
    had_work = {place for place in places if first.ends[place] > done(first, place)}
    # With no lag anywhere, one that holds a record to tell the time of.
    worst = max(places, key=lambda place: (lags[place], done(second, place) > begin[place]))
    last, waiting = await _times(consumer, worst, begin[worst], done(second, worst), lags[worst])
    return Flow(
        role=role,
        topic=places[0].topic,
        lag=sum(lags.values()),
        grows=sum(lags.values()) > before,
        rate=sum(moved.values()) / (second.at - first.at),
        done_until=last,
        behind_seconds=waiting,
        stuck=sorted(place.partition for place in had_work if not moved[place] and lags[place]),
    )


async def _times(
    consumer: Any, place: TopicPartition, begin: int, done: int, lag: int
) -> tuple[datetime | None, float | None]:
    """Return the log time of the last record done, and the age (s) of the first that is not."""
    last = await _log_ms(consumer, place, done - 1) if done > begin else None
    waiting = await _log_ms(consumer, place, done) if lag else None
    return (
        None if last is None else datetime.fromtimestamp(last / 1_000, UTC),
        None if waiting is None else max(0.0, time.time() - waiting / 1_000),
    )


async def _log_ms(consumer: Any, place: TopicPartition, offset: int) -> int | None:
    """Return the log time of a record, or of the next that compaction left; None without one."""
    consumer.assign([place])
    consumer.seek(place, offset)
    try:
        async with asyncio.timeout(_FETCH_SECONDS):
            return int((await consumer.getone(place)).timestamp)
    except TimeoutError:
        return None


async def _workers(admin: AIOKafkaAdminClient, group: str) -> int:
    (response,) = await admin.describe_consumer_groups([group])
    (found,) = response.groups
    return len(found[5])  # error code, group, state, protocol type, protocol, members, …


async def _dead_letters(consumer: Any, places: Sequence[TopicPartition]) -> list[DeadLetterCount]:
    begins = await consumer.beginning_offsets(places)
    ends = await consumer.end_offsets(places)
    since = int(time.time() * 1_000) - _HOUR_MS
    recent = await consumer.offsets_for_times(dict.fromkeys(places, since))
    counts: dict[str, tuple[int, int]] = {}
    for place in places:
        (kept, last_hour) = counts.get(place.topic, (0, 0))
        kept += ends[place] - begins[place]
        if recent.get(place) is not None:
            last_hour += ends[place] - recent[place].offset
        counts[place.topic] = (kept, last_hour)
    return [
        DeadLetterCount(topic=topic, kept=kept, last_hour=last_hour)
        for topic, (kept, last_hour) in counts.items()
    ]


@asynccontextmanager
async def _clients(kafka: KafkaSettings) -> AsyncIterator[tuple[AIOKafkaAdminClient, Any]]:
    servers = kafka.bootstrap_servers
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers,
        enable_auto_commit=False,
        # One record is asked for at a time, and many times: nothing is worth waiting for.
        fetch_max_wait_ms=10,
        max_partition_fetch_bytes=64 * 1024,
    )
    try:
        await admin.start()
        await consumer.start()
        yield admin, consumer
    except (KafkaError, OSError) as error:
        raise UserError(f"Kafka at {servers} did not answer: {error!r}") from error
    finally:
        await consumer.stop()
        await admin.close()
