"""Read dead letters, the records that an agent could not process, from their topics.

They are read without a consumer group, up to the current end offsets. Nothing is committed.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from headrace.admin.topics import describe_topics
from headrace.errors import UserError
from headrace.ops.dead_letters.dead_letter import (
    DeadLetter,
    RecordId,
    dead_letter_topics,
    to_letter,
)
from kafka_clients.clients import make_consumer
from schemas.codec import CodecError, decode
from schemas.kafka_settings import KafkaSettings
from schemas.records import Replay
from schemas.topics import DEAD_LETTERS, REPLAYS, Topic, dead_letters_of

#: The longest wait for the next record.
_READ_TIMEOUT_SECONDS = 30.0
_POLL_MS = 1_000
_MAX_POLL_RECORDS = 500


class Resolutions(NamedTuple):
    """The replays and discards of dead letters by key, from the topic `replays`."""

    replayed: dict[str, Replay]
    discarded: dict[str, Replay]


class Counts(NamedTuple):
    """The numbers of dead letters by reason: all, replayed and discarded."""

    all: Counter[str]
    replayed: Counter[str]
    discarded: Counter[str]


class Overview(NamedTuple):
    """The newest dead letters, newest first, the resolutions, and the counts of all."""

    newest: list[DeadLetter]
    resolutions: Resolutions
    counts: Counts


Matches = Callable[[DeadLetter], bool]


async def read_overview(
    kafka: KafkaSettings,
    topic: str | None,
    limit: int,
    matches: Matches = lambda _: True,
    *,
    with_discarded: bool = False,
) -> Overview:
    """Read all dead letters that match, or those of one topic: a dead letter topic or its source.

    Discarded ones are counted, but listed only if `with_discarded`. A dead letter that a stage
    wrote twice, because of a crash, counts once; those of two stages for one record count twice.
    Raises `UserError` if Kafka fails or there is no such topic.
    """
    newest: list[tuple[int, RecordId, DeadLetter]] = []
    counts = Counts(Counter(), Counter(), Counter())
    async with open_reader(kafka, topic) as reader:
        resolutions = reader.resolutions
        async for _, letter in reader:
            if not matches(letter):
                continue
            is_discarded = letter.key in resolutions.discarded
            counts.all[letter.reason] += 1
            counts.replayed[letter.reason] += letter.key in resolutions.replayed
            counts.discarded[letter.reason] += is_discarded
            if is_discarded and not with_discarded:
                continue
            heapq.heappush(newest, (letter.at_ms, letter.id, letter))
            if len(newest) > limit:
                heapq.heappop(newest)
    return Overview([letter for *_, letter in sorted(newest, reverse=True)], resolutions, counts)


class DeadLetterReader:
    """Iterates over dead letters with their records, each once, in order of each partition."""

    def __init__(
        self,
        consumer: Any,
        partitions: Sequence[TopicPartition],
        resolutions: Resolutions,
        since_ms: int | None = None,
    ) -> None:
        self._consumer = consumer
        self._partitions = partitions
        self._since_ms = since_ms
        self.resolutions = resolutions

    async def __aiter__(self) -> AsyncIterator[tuple[Any, DeadLetter]]:
        seen: set[str] = set()
        async for record in _records(self._consumer, self._partitions, self._since_ms):
            letter = to_letter(record)
            if letter.key not in seen:
                seen.add(letter.key)
                yield record, letter

    async def find(self, ids: Iterable[RecordId]) -> AsyncIterator[tuple[Any, DeadLetter]]:
        """Yield the dead letters with these ids; raises `UserError` if one does not exist."""
        for letter_id in ids:
            record = await self._record(letter_id)
            if record is None or record.offset != letter_id.offset:
                raise UserError(f"There is no dead letter {letter_id}: see `headrace dlq list`")
            yield record, to_letter(record)

    async def _record(self, letter_id: RecordId) -> Any | None:
        tp = TopicPartition(letter_id.topic, letter_id.partition)
        if tp not in self._partitions:
            return None
        start = (await self._consumer.beginning_offsets([tp]))[tp]
        end = (await self._consumer.end_offsets([tp]))[tp]
        if not start <= letter_id.offset < end:
            return None
        self._consumer.assign([tp])
        self._consumer.seek(tp, letter_id.offset)
        async with asyncio.timeout(_READ_TIMEOUT_SECONDS):
            return await self._consumer.getone(tp)


@asynccontextmanager
async def open_reader(
    kafka: KafkaSettings, topic: str | None, since_ms: int | None = None
) -> AsyncIterator[DeadLetterReader]:
    """Yield a reader of all topics, or of one: a dead letter topic or its source.

    With `since_ms`, read only records with this log time or a later one.
    """
    partitions = await _partitions(kafka, _dead_letter_topics(topic))
    replays = await _partitions(kafka, [REPLAYS], is_required=False)
    async with _consumer(kafka) as consumer:
        resolutions = await _read_resolutions(consumer, replays)
        yield DeadLetterReader(consumer, partitions, resolutions, since_ms)


async def read_letter(kafka: KafkaSettings, letter_id: RecordId) -> tuple[Any, Resolutions]:
    """Return the record of a dead letter, and all resolutions.

    Raises `UserError` if it does not exist.
    """
    async with open_reader(kafka, letter_id.topic) as reader:
        record, _ = await anext(reader.find([letter_id]))
        return record, reader.resolutions


async def _read_resolutions(consumer: Any, partitions: Sequence[TopicPartition]) -> Resolutions:
    """Read the topic `replays`; the last record of a key wins."""
    resolutions = Resolutions({}, {})
    async for record in _records(consumer, partitions):
        key = (record.key or b"").decode(errors="replace")
        for by_key in resolutions:
            by_key.pop(key, None)
        with suppress(CodecError):  # the router ignores it, too
            if record.value is not None:
                resolution = decode(record.value, Replay)
                is_discard = resolution.discard_reason is not None
                (resolutions.discarded if is_discard else resolutions.replayed)[key] = resolution
    return resolutions


def _dead_letter_topics(topic: str | None) -> Sequence[Topic]:
    if topic is None:
        return DEAD_LETTERS
    topics = dead_letter_topics()
    for name in (topic, dead_letters_of(topic)):
        if name in topics:
            return [topics[name]]
    raise UserError(f"{topic!r} has no dead letter topic; there are {', '.join(topics)}")


async def _partitions(
    kafka: KafkaSettings, topics: Sequence[Topic], *, is_required: bool = True
) -> list[TopicPartition]:
    """Return the partitions of topics; raises `UserError` if `needed` and no topic exists."""
    counts = {state.topic: state.partitions for state in await describe_topics(kafka)}
    if is_required and all(counts[topic] is None for topic in topics):
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
    """Yield a consumer without a group; raises `UserError` if Kafka fails in the block."""
    consumer = make_consumer(kafka)
    try:
        await consumer.start()
        yield consumer
    except (KafkaError, OSError, TimeoutError) as error:
        raise UserError(
            f"Cannot read the dead letters from Kafka at {kafka.bootstrap_servers}: "
            f"{error or 'it does not answer'}"
        ) from error
    finally:
        await consumer.stop()


async def _records(
    consumer: Any, partitions: Sequence[TopicPartition], since_ms: int | None = None
) -> AsyncIterator[Any]:
    """Yield all records up to the current end offsets, in order of each partition."""
    starts = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    if since_ms is not None:
        since = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        starts = {tp: at.offset if (at := since.get(tp)) else ends[tp] for tp in partitions}
    unread = {tp for tp in partitions if starts[tp] < ends[tp]}
    consumer.assign(list(unread))
    for tp in unread:
        consumer.seek(tp, starts[tp])
    while unread:
        async with asyncio.timeout(_READ_TIMEOUT_SECONDS):
            fetched: dict[TopicPartition, list[Any]] = {}
            while not fetched:
                fetched = await consumer.getmany(
                    *unread, timeout_ms=_POLL_MS, max_records=_MAX_POLL_RECORDS
                )
        for tp, records in fetched.items():
            for record in records:
                if record.offset < ends[tp]:
                    yield record
            if await consumer.position(tp) >= ends[tp]:
                unread.discard(tp)
                consumer.pause(tp)
