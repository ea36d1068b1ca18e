"""What Kafka tells of the roles: group members, lag, rate, dead letters."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import stamina
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from infra.errors import RefusedError, UserError
from infra.status import dead_letters, next_records
from infra.status.model import DeadLetterCount, Flow, Role
from infra.topics import describe_topics
from kafka_clients.access import check_access
from kafka_clients.clients import make_admin, make_consumer
from kafka_clients.refusals import explain_error
from schemas.kafka_names import prefixed
from schemas.kafka_settings import KafkaSettings
from schemas.stages import SINK_STAGES, STREAM_STAGES
from schemas.topics import CLUSTER_EPOCHS, DEAD_LETTERS, EVENTS_RAW, EVENTS_SESSION, TOPICS, Topic
from sinks.app import APP_ID as SINKS
from streams.app import APP_ID as STREAMS
from streams.engine.cluster import Cluster, read_epoch
from streams.engine.offsets import STARTING_ERRORS, committed_offsets
from streams.live_app import APP_ID as LIVE

#: Each role that reads, its group and its topics.
_READERS: dict[str, tuple[str, Sequence[Topic]]] = {
    "streams": (STREAMS, list(STREAM_STAGES.values())),
    "live": (LIVE, [EVENTS_SESSION]),
    "sinks": (SINKS, list(SINK_STAGES.values())),
}
#: Between two looks: more than the workers need between two commits.
LOOK_SECONDS = 3.0

Offsets = Mapping[TopicPartition, int]


class _Look(NamedTuple):
    at: float
    wall: datetime
    done: dict[str, Offsets]
    ends: Offsets


@dataclass(frozen=True, slots=True)
class KafkaStatus:
    """What Kafka tells; `missing` are topics that are not there.

    `ahead_seconds` is how far the newest log time of an event is ahead of this machine's clock.
    """

    roles: list[Role]
    flows: list[Flow]
    dead_letters: list[DeadLetterCount]
    missing: list[str]
    cluster: Cluster
    ahead_seconds: float


async def look(kafka: KafkaSettings) -> KafkaStatus:
    """Look twice, a few seconds apart; `UserError` when Kafka does not answer, or refuses it."""
    if refusal := await check_access(kafka, TOPICS):
        raise RefusedError(refusal)
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
        cluster_id = str((await admin.describe_cluster())["cluster_id"])
        ahead = await _ahead_seconds(consumer, places[EVENTS_RAW.name], second.ends)
        kept = await _kept(
            consumer, [place for topic in DEAD_LETTERS for place in places[topic.name]]
        )
    counts = await dead_letters.counts(kafka, kept) if kept else []
    missing = [name for name, count in topics.items() if not count]
    epoch = 0 if CLUSTER_EPOCHS.name in missing else await read_epoch(kafka)
    return KafkaStatus(roles, flows, counts, missing, Cluster(cluster_id, epoch), ahead)


async def _ahead_seconds(
    consumer: Any, places: Sequence[TopicPartition], ends: Mapping[TopicPartition, int]
) -> float:
    """Return how far the last log time is ahead of this machine's clock; 0.0 if it is not."""
    last = {place: ends[place] - 1 for place in places if ends.get(place)}
    times = (await next_records.log_times(consumer, last, ends)).values()
    newest_ms = max((at for at in times if at is not None), default=0)
    return max(0.0, newest_ms / 1_000 - time.time())


@stamina.retry(on=STARTING_ERRORS, attempts=20, timeout=15, wait_max=1)
async def _look(
    admin: AIOKafkaAdminClient, consumer: Any, places: Mapping[str, Sequence[TopicPartition]]
) -> _Look:
    """Look once; a cluster that never had a group makes their coordinator first."""
    done: dict[str, Offsets] = {}
    for role, (group, _) in _READERS.items():
        done[role] = await committed_offsets(admin, prefixed(group))
    read = {topic.name for _, topics in _READERS.values() for topic in topics}
    # Ends after what is done: never a negative lag. What was written before is below the ends.
    wall = datetime.now(UTC)
    ends = await consumer.end_offsets([place for name in read for place in places[name]])
    return _Look(time.monotonic(), wall, done, ends)


async def _flow(
    consumer: Any, role: str, places: Sequence[TopicPartition], first: _Look, second: _Look
) -> Flow:
    begin = await consumer.beginning_offsets(places)

    def done(look: _Look, place: TopicPartition) -> int:
        # A group that never committed begins at the start; what retention deleted is no work.
        return max(look.done[role].get(place, 0), int(begin[place]))

    behind = {
        place: done(second, place) for place in places if second.ends[place] > done(second, place)
    }
    oldest = await next_records.log_times(consumer, behind, second.ends)
    # Offsets up to the end may hold no record: compacted, or markers of transactions.
    lags = {place: second.ends[place] - behind[place] for place in behind if place in oldest}
    before = sum(first.ends[place] - done(first, place) for place in places)
    moved = {place: done(second, place) - done(first, place) for place in places}
    # Work that was there at the first look, and is at the second, untouched.
    had_work = {place for place in places if first.ends[place] > done(first, place)}
    times = [at for at in oldest.values() if at is not None]
    waits_since = datetime.fromtimestamp(min(times) / 1_000, UTC) if times else None
    return Flow(
        role=role,
        topic=places[0].topic,
        lag=sum(lags.values()),
        grows=sum(lags.values()) > before,
        rate=sum(moved.values()) / (second.at - first.at),
        done_until=waits_since if lags else second.wall,
        behind_seconds=(
            None
            if waits_since is None
            else max(0.0, (datetime.now(UTC) - waits_since).total_seconds())
        ),
        stuck=sorted(place.partition for place in had_work if not moved[place] and place in lags),
    )


async def _workers(admin: AIOKafkaAdminClient, group: str) -> int:
    (response,) = await admin.describe_consumer_groups([prefixed(group)])
    (found,) = response.groups
    return len(found[5])  # error code, group, state, protocol type, protocol, members, …


async def _kept(consumer: Any, places: Sequence[TopicPartition]) -> dict[str, int]:
    """Return how many records each topic holds."""
    begins = await consumer.beginning_offsets(places)
    ends = await consumer.end_offsets(places)
    kept: Counter[str] = Counter()
    for place in places:
        kept[place.topic] += ends[place] - begins[place]
    return kept


@asynccontextmanager
async def _clients(kafka: KafkaSettings) -> AsyncIterator[tuple[AIOKafkaAdminClient, Any]]:
    admin = make_admin(kafka)
    consumer = make_consumer(
        kafka,
        # One record is asked for at a time, and many times: nothing is worth waiting for.
        fetch_max_wait_ms=10,
        max_partition_fetch_bytes=64 * 1024,
    )
    try:
        await admin.start()
        await consumer.start()
        yield admin, consumer
    except (KafkaError, OSError) as error:
        if refusal := explain_error(error, kafka.bootstrap_servers):
            raise RefusedError(refusal) from error
        raise UserError(f"Kafka at {kafka.bootstrap_servers} did not answer: {error!r}") from error
    finally:
        await consumer.stop()
        await admin.close()
