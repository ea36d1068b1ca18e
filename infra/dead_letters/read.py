"""Dead letters: records that an agent could not process, read from their topics.

Read without a consumer group, to where the topics end at the moment: looking changes nothing.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from infra.dead_letters.letter import TOPICS, DeadLetter, Place, to_letter
from infra.errors import UserError
from infra.topics import describe_topics
from schemas.settings import KafkaSettings
from schemas.topics import DEAD_LETTERS, REPLAYS, Topic, dead_letters_of

#: Without a single record; then the broker is gone.
_SILENCE_SECONDS = 30.0
_POLL_MS = 1_000
_MOST_AT_ONCE = 500


class Counts(NamedTuple):
    """How many dead letters there are, and how many of them were replayed, for each reason."""

    all: Counter[str]
    replayed: Counter[str]


class Overview(NamedTuple):
    """The newest dead letters, newest first, the names of those replayed, and how many of all."""

    newest: list[DeadLetter]
    replayed: set[str]
    counts: Counts


async def survey(kafka: KafkaSettings, topic: str | None, limit: int) -> Overview:
    """Read all dead letters, or those of one topic, itself or its source.

    One that the same stage put there twice, after a crash in between, counts once; two stages
    that read one topic and both fail at a record are two. `UserError` when no Kafka answers or
    there is no such topic.
    """
    newest: list[tuple[int, Place, DeadLetter]] = []
    counts = Counts(Counter(), Counter())
    async with open_letters(kafka, topic) as letters:
        async for _, letter in letters:
            counts.all[letter.reason] += 1
            counts.replayed[letter.reason] += letter.name in letters.replayed
            heapq.heappush(newest, (letter.at_ms, letter.id, letter))
            if len(newest) > limit:
                heapq.heappop(newest)
        replayed = letters.replayed
    return Overview([letter for *_, letter in sorted(newest, reverse=True)], replayed, counts)


class Letters:
    """Dead letters with their records, each once, those of one partition in order."""

    def __init__(self, consumer: Any, places: Sequence[TopicPartition], replayed: set[str]) -> None:
        self._consumer = consumer
        self._places = places
        #: The names of those that were replayed.
        self.replayed = replayed

    async def __aiter__(self) -> AsyncIterator[tuple[Any, DeadLetter]]:
        seen: set[str] = set()
        async for record in _records(self._consumer, self._places):
            letter = to_letter(record)
            if letter.name not in seen:
                seen.add(letter.name)
                yield record, letter


@asynccontextmanager
async def open_letters(kafka: KafkaSettings, topic: str | None) -> AsyncIterator[Letters]:
    """Give the dead letters of all topics, or of one, itself or its source."""
    places = await _places(kafka, _chosen(topic))
    noted = await _places(kafka, [REPLAYS], needed=False)
    async with _consumer(kafka) as consumer:
        replayed = {record.key.decode() async for record in _records(consumer, noted) if record.key}
        yield Letters(consumer, places, replayed)


async def find(kafka: KafkaSettings, place: Place) -> Any:
    """Return the record at a place of a dead letter topic; `UserError` when there is none."""
    gone = UserError(f"There is no dead letter {place}: see `headrace dlq list`")
    places = await _places(kafka, [TOPICS[place.topic]])
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


def _chosen(topic: str | None) -> Sequence[Topic]:
    if topic is None:
        return DEAD_LETTERS
    for name in (topic, dead_letters_of(topic)):
        if name in TOPICS:
            return [TOPICS[name]]
    raise UserError(f"{topic!r} is no topic with dead letters; there are {', '.join(TOPICS)}")


async def _places(
    kafka: KafkaSettings, topics: Sequence[Topic], *, needed: bool = True
) -> list[TopicPartition]:
    """Return the partitions of topics; `UserError` when they are `needed` and none is there."""
    counts = {state.topic: state.partitions for state in await describe_topics(kafka)}
    if needed and all(counts[topic] is None for topic in topics):
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
