"""Dead letters: records that an agent could not process, read from their topics.

Read without a consumer group, to where the topics end at the moment: looking changes nothing.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from infra.errors import UserError
from infra.topics import describe_topics
from schemas import headers as names
from schemas.settings import KafkaSettings
from schemas.topics import DEAD_LETTERS, Topic, dead_letters_of

_TOPICS: dict[str, Topic] = {topic.name: topic for topic in DEAD_LETTERS}

#: Without a single record; then the broker is gone.
_SILENCE_SECONDS = 30.0
_POLL_MS = 1_000
_MOST_AT_ONCE = 500


class Place(NamedTuple):
    """Where a record stands in Kafka."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the id of a dead letter; `UserError` when it is none."""
        (topic, _, rest) = text.strip().partition("/")
        (partition, _, offset) = rest.partition("/")
        numbers = (partition, offset)
        if topic not in _TOPICS or not all(text.isascii() and text.isdigit() for text in numbers):
            raise UserError(
                f"{text!r} is no id of a dead letter: it is like events-raw-dlq/0/17, as "
                "`headrace dlq list` shows it"
            )
        return cls(topic, int(partition), int(offset))


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why, where and when a record was dead-lettered; what no header says is empty or None."""

    id: Place
    reason: str
    stage: str
    detail: str
    source: Place | None
    at_ms: int


class Overview(NamedTuple):
    """The newest dead letters, newest first, and how many there are for each reason."""

    newest: list[DeadLetter]
    by_reason: Counter[str]


async def survey(kafka: KafkaSettings, topic: str | None, limit: int) -> Overview:
    """Read all dead letters, or those of one topic, itself or its source.

    One that the same stage put there twice, after a crash in between, counts once; two stages
    that read one topic and both fail at a record are two. `UserError` when no Kafka answers or
    there is no such topic.
    """
    newest: list[tuple[int, Place, DeadLetter]] = []
    by_reason: Counter[str] = Counter()
    seen: set[tuple[str, Place]] = set()
    places = await _places(kafka, _chosen(topic))
    async with _consumer(kafka) as consumer:
        async for record in _records(consumer, places):
            letter = to_letter(record)
            if letter.source is not None:
                effect = (letter.stage, letter.source)
                if effect in seen:
                    continue
                seen.add(effect)
            by_reason[letter.reason] += 1
            heapq.heappush(newest, (letter.at_ms, letter.id, letter))
            if len(newest) > limit:
                heapq.heappop(newest)
    return Overview([letter for *_, letter in sorted(newest, reverse=True)], by_reason)


async def find(kafka: KafkaSettings, place: Place) -> Any:
    """Return the record at a place of a dead letter topic; `UserError` when there is none."""
    gone = UserError(f"There is no dead letter {place}: see `headrace dlq list`")
    places = await _places(kafka, [_TOPICS[place.topic]])
    partition = TopicPartition(place.topic, place.partition)
    if partition not in places:
        raise gone
    async with _consumer(kafka) as consumer:
        first = (await consumer.beginning_offsets([partition]))[partition]
        end = (await consumer.end_offsets([partition]))[partition]
        if not first <= place.offset < end:
            raise gone
        consumer.assign([partition])
        consumer.seek(partition, place.offset)
        async with asyncio.timeout(_SILENCE_SECONDS):
            record = await consumer.getone(partition)
    if record.offset != place.offset:
        raise gone
    return record


def to_letter(record: Any) -> DeadLetter:
    """Read what the headers of a record say; a record put there by others may lack any."""
    told = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    at_ms = _number(told.get(names.DLQ_AT))
    partition = _number(told.get(names.DLQ_PARTITION))
    offset = _number(told.get(names.DLQ_OFFSET))
    topic = told.get(names.DLQ_TOPIC)
    source = None
    if topic and partition is not None and offset is not None:
        source = Place(topic, partition, offset)
    return DeadLetter(
        id=Place(record.topic, record.partition, record.offset),
        reason=told.get(names.DLQ_REASON, ""),
        stage=told.get(names.DLQ_STAGE, ""),
        detail=told.get(names.DLQ_DETAIL, ""),
        source=source,
        at_ms=record.timestamp if at_ms is None else at_ms,
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None


def _chosen(topic: str | None) -> Sequence[Topic]:
    if topic is None:
        return DEAD_LETTERS
    for name in (topic, dead_letters_of(topic)):
        if name in _TOPICS:
            return [_TOPICS[name]]
    raise UserError(f"{topic!r} is no topic with dead letters; there are {', '.join(_TOPICS)}")


async def _places(kafka: KafkaSettings, topics: Sequence[Topic]) -> list[TopicPartition]:
    """Return the partitions of topics; `UserError` when none of them is there."""
    counts = {state.topic: state.partitions for state in await describe_topics(kafka)}
    if all(counts[topic] is None for topic in topics):
        raise UserError(
            f"Kafka at {kafka.bootstrap_servers} has no topic for dead letters: "
            "run `headrace topics create`"
        )
    return [
        TopicPartition(topic.name, partition)
        for topic in topics
        for partition in range(counts[topic] or 0)
    ]


@asynccontextmanager
async def _consumer(kafka: KafkaSettings) -> AsyncIterator[Any]:
    """Give a consumer without a group; `UserError` when Kafka fails at what is done with it."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, enable_auto_commit=False)
    try:
        await consumer.start()
        yield consumer
    except (KafkaError, OSError, TimeoutError) as error:
        raise UserError(
            f"Kafka at {kafka.bootstrap_servers} did not let the dead letters be read: "
            f"{error or 'it does not answer'}"
        ) from error
    finally:
        await consumer.stop()


async def _records(consumer: Any, places: Sequence[TopicPartition]) -> AsyncIterator[Any]:
    """Yield all records up to the present ends, those of one partition in order."""
    first = await consumer.beginning_offsets(places)
    ends = await consumer.end_offsets(places)
    left = {place for place in places if first[place] < ends[place]}
    consumer.assign(list(left))
    for place in left:
        consumer.seek(place, first[place])
    while left:
        async with asyncio.timeout(_SILENCE_SECONDS):
            while not (found := await _fetched(consumer, left)):
                pass
        for place, records in found.items():
            for record in records:
                if record.offset < ends[place]:
                    yield record
            if await consumer.position(place) >= ends[place]:
                left.discard(place)
                consumer.pause(place)


async def _fetched(consumer: Any, places: Iterable[TopicPartition]) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = await consumer.getmany(
        *places, timeout_ms=_POLL_MS, max_records=_MOST_AT_ONCE
    )
    return found
