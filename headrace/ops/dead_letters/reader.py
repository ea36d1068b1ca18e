"""Read dead letters, records that an agent could not process, from their topics.

They are read without a consumer group, up to the current end offsets.
"""

import heapq
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from headrace.admin.clients import open_clients, read_record
from headrace.admin.records import read_records
from headrace.admin.topics import read_states
from headrace.errors import UserError
from headrace.ops.dead_letters.dead_letter import (
    DeadLetter,
    RecordId,
    dead_letter_topics,
    to_letter,
)
from schemas.codec import CodecError, decode
from schemas.kafka_settings import KafkaSettings
from schemas.records import Replay
from schemas.topics import DEAD_LETTERS, REPLAYS, Topic, dead_letters_of


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
    """Read the dead letters that match, of all topics or of one: a dead letter topic or its source.

    Discarded ones are counted, but listed only if `with_discarded`. Duplicates, which a stage
    writes after a crash, count once; dead letters of two stages for one record count twice. Raises
    `UserError` if Kafka fails or the topic does not exist.
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
    """Iterates over records and their dead letters, without duplicates, in partition order."""

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
        async for record in read_records(self._consumer, self._partitions, self._since_ms):
            letter = to_letter(record)
            if letter.key not in seen:
                seen.add(letter.key)
                yield record, letter

    async def find(self, ids: Iterable[RecordId]) -> AsyncIterator[tuple[Any, DeadLetter]]:
        """Yield the dead letters with these ids; raises `UserError` if one does not exist."""
        for letter_id in ids:
            tp, record = TopicPartition(letter_id.topic, letter_id.partition), None
            if tp in self._partitions:
                record = await read_record(self._consumer, tp, letter_id.offset)
            if record is None or record.offset != letter_id.offset:
                raise UserError(
                    f"There is no dead letter {letter_id}; `headrace dlq list` shows all"
                )
            yield record, to_letter(record)


@asynccontextmanager
async def open_reader(
    kafka: KafkaSettings, topic: str | None, since_ms: int | None = None
) -> AsyncIterator[DeadLetterReader]:
    """Yield a reader of all dead letter topics, or of one: `topic` or the one of this source.

    With `since_ms`, read only records with this log time or a later one.
    """
    async with open_clients(kafka) as (admin, consumer):
        counts = {state.topic: state.partitions for state in await read_states(admin)}
        partitions = _partitions(counts, _dead_letter_topics(topic))
        if not partitions:
            raise UserError(
                f"Kafka at {kafka.bootstrap_servers} has no topic for dead letters: "
                "run `headrace topics create`"
            )
        resolutions = await _read_resolutions(consumer, _partitions(counts, [REPLAYS]))
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
    async for record in read_records(consumer, partitions):
        key = (record.key or b"").decode(errors="replace")
        for by_key in resolutions:
            by_key.pop(key, None)
        with suppress(CodecError):  # as in the router
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
    raise UserError(f"{topic!r} has no dead letter topic; existing ones: {', '.join(topics)}")


def _partitions(
    counts: Mapping[Topic, int | None], topics: Sequence[Topic]
) -> list[TopicPartition]:
    """Return the partitions of those topics that exist, given their numbers of partitions."""
    return [
        TopicPartition(topic.name, partition)
        for topic in topics
        for partition in range(counts[topic] or 0)
    ]
