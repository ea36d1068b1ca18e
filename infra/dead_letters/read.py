"""Dead letters: records that an agent could not process, read from their topics.

Read without a consumer group, to where the topics end at the moment: looking changes nothing.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from infra.dead_letters.letter import DeadLetter, Place, dead_letter_topics, to_letter
from infra.errors import UserError
from infra.topics import describe_topics
from kafka_clients.clients import make_consumer
from schemas.codec import CodecError, decode
from schemas.kafka_settings import KafkaSettings
from schemas.records import Replay
from schemas.topics import DEAD_LETTERS, REPLAYS, Topic, dead_letters_of

#: Without a single record; then the broker is gone.
_SILENCE_SECONDS = 30.0
_POLL_MS = 1_000
_MOST_AT_ONCE = 500


class Settled(NamedTuple):
    """What operators did about dead letters, by their names: the topic `replays`, read whole."""

    replayed: dict[str, Replay]
    discarded: dict[str, Replay]


class Counts(NamedTuple):
    """How many dead letters there are, and what was done about them, for each reason."""

    all: Counter[str]
    replayed: Counter[str]
    discarded: Counter[str]


class Overview(NamedTuple):
    """The newest dead letters, newest first, what was done about them, and how many of all."""

    newest: list[DeadLetter]
    settled: Settled
    counts: Counts


Fits = Callable[[DeadLetter], bool]


async def survey(
    kafka: KafkaSettings,
    topic: str | None,
    limit: int,
    fits: Fits = lambda _: True,
    *,
    with_discarded: bool = False,
) -> Overview:
    """Read all dead letters, or those of one topic, itself or its source, that fit.

    Discarded ones are counted; they are among the newest only if asked for.
    One that the same stage put there twice, after a crash in between, counts once; two stages
    that read one topic and both fail at a record are two. `UserError` when no Kafka answers or
    there is no such topic.
    """
    newest: list[tuple[int, Place, DeadLetter]] = []
    counts = Counts(Counter(), Counter(), Counter())
    async with open_letters(kafka, topic) as letters:
        settled = letters.settled
        async for _, letter in letters:
            if not fits(letter):
                continue
            is_discarded = letter.name in settled.discarded
            counts.all[letter.reason] += 1
            counts.replayed[letter.reason] += letter.name in settled.replayed
            counts.discarded[letter.reason] += is_discarded
            if is_discarded and not with_discarded:
                continue
            heapq.heappush(newest, (letter.at_ms, letter.id, letter))
            if len(newest) > limit:
                heapq.heappop(newest)
    return Overview([letter for *_, letter in sorted(newest, reverse=True)], settled, counts)


class Letters:
    """Dead letters with their records, each once, those of one partition in order."""

    def __init__(
        self,
        consumer: Any,
        places: Sequence[TopicPartition],
        settled: Settled,
        since_ms: int | None = None,
    ) -> None:
        self._consumer = consumer
        self._places = places
        self._since_ms = since_ms
        self.settled = settled

    async def __aiter__(self) -> AsyncIterator[tuple[Any, DeadLetter]]:
        seen: set[str] = set()
        async for record in _records(self._consumer, self._places, self._since_ms):
            letter = to_letter(record)
            if letter.name not in seen:
                seen.add(letter.name)
                yield record, letter

    async def find(self, ids: Iterable[Place]) -> AsyncIterator[tuple[Any, DeadLetter]]:
        """Yield the dead letters of these ids; `UserError` at the first that does not exist."""
        for place in ids:
            record = await self._at(place)
            if record is None or record.offset != place.offset:
                raise UserError(f"There is no dead letter {place}: see `headrace dlq list`")
            yield record, to_letter(record)

    async def _at(self, place: Place) -> Any | None:
        partition = TopicPartition(place.topic, place.partition)
        if partition not in self._places:
            return None
        first = (await self._consumer.beginning_offsets([partition]))[partition]
        end = (await self._consumer.end_offsets([partition]))[partition]
        if not first <= place.offset < end:
            return None
        self._consumer.assign([partition])
        self._consumer.seek(partition, place.offset)
        async with asyncio.timeout(_SILENCE_SECONDS):
            return await self._consumer.getone(partition)


@asynccontextmanager
async def open_letters(
    kafka: KafkaSettings, topic: str | None, since_ms: int | None = None
) -> AsyncIterator[Letters]:
    """Give the dead letters of all topics, or of one, itself or its source.

    With `since_ms`, only those that were written since (by the broker's clock).
    """
    places = await _places(kafka, _chosen(topic))
    noted = await _places(kafka, [REPLAYS], needed=False)
    async with _consumer(kafka) as consumer:
        yield Letters(consumer, places, await _settled(consumer, noted), since_ms)


async def look_up(kafka: KafkaSettings, place: Place) -> tuple[Any, Settled]:
    """Return a dead letter's record, and what was done about all; `UserError` without it."""
    async with open_letters(kafka, place.topic) as letters:
        record, _ = await anext(letters.find([place]))
        return record, letters.settled


async def _settled(consumer: Any, places: Sequence[TopicPartition]) -> Settled:
    """Read the topic `replays`; the newest record of a key is the one that holds."""
    settled = Settled({}, {})
    async for record in _records(consumer, places):
        name = (record.key or b"").decode(errors="replace")
        for known in settled:
            known.pop(name, None)
        with suppress(CodecError):  # not of headrace, whose router leaves it out, too
            if record.value is not None:
                noted = decode(record.value, Replay)
                is_discard = noted.discard_reason is not None
                (settled.discarded if is_discard else settled.replayed)[name] = noted
    return settled


def _chosen(topic: str | None) -> Sequence[Topic]:
    if topic is None:
        return DEAD_LETTERS
    topics = dead_letter_topics()
    for name in (topic, dead_letters_of(topic)):
        if name in topics:
            return [topics[name]]
    raise UserError(f"{topic!r} is no topic with dead letters; there are {', '.join(topics)}")


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
    consumer = make_consumer(kafka)
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


async def _records(
    consumer: Any, places: Sequence[TopicPartition], since_ms: int | None = None
) -> AsyncIterator[Any]:
    """Yield all records up to the present ends, those of one partition in order."""
    first = await consumer.beginning_offsets(places)
    ends = await consumer.end_offsets(places)
    if since_ms is not None:
        since = await consumer.offsets_for_times(dict.fromkeys(places, since_ms))
        first = {place: at.offset if (at := since.get(place)) else ends[place] for place in places}
    left = {place for place in places if first[place] < ends[place]}
    consumer.assign(list(left))
    for place in left:
        consumer.seek(place, first[place])
    while left:
        async with asyncio.timeout(_SILENCE_SECONDS):
            found: dict[TopicPartition, list[Any]] = {}
            while not found:
                found = await consumer.getmany(
                    *left, timeout_ms=_POLL_MS, max_records=_MOST_AT_ONCE
                )
        for place, records in found.items():
            for record in records:
                if record.offset < ends[place]:
                    yield record
            if await consumer.position(place) >= ends[place]:
                left.discard(place)
                consumer.pause(place)
