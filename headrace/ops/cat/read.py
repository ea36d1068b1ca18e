"""Read the records of one topic from a position on."""

from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from headrace.admin.clients import open_clients
from headrace.admin.records import records_between, records_from
from headrace.errors import UsageError, UserError
from schemas.kafka_settings import KafkaSettings
from schemas.topics import TOPICS, Topic

BEGINNING, END = "beginning", "end"


class Start(NamedTuple):
    """Where to start in each partition: at `offset`, at `time_ms`, or at the beginning or end."""

    at_end: bool = False
    offset: int | None = None
    time_ms: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Start":
        """Parse `beginning`, `end`, an offset, or a time in ISO 8601 (UTC without an offset)."""
        if text in {BEGINNING, END}:
            return cls(at_end=text == END)
        if text.isascii() and text.isdigit():
            return cls(offset=int(text))
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(
                f"--from {text} is neither {BEGINNING}, {END}, an offset, nor a time such as "
                "2026-05-01T12:00Z"
            ) from None
        time = time if time.tzinfo else time.replace(tzinfo=UTC)
        # Kafka rejects times before 1970.
        return cls(time_ms=max(0, int(time.timestamp() * 1_000)))


def find_topic(name: str) -> Topic:
    """Return a topic by its name, with or without the prefix. Raises UsageError if unknown."""
    for topic in TOPICS:
        if name in {topic.name, topic.base_name}:
            return topic
    names = ", ".join(topic.base_name for topic in TOPICS)
    raise UsageError(f"{name} is not a topic of headrace; its topics are {names}")


async def read_topic(
    kafka: KafkaSettings, topic: Topic, start: Start, *, partition: int | None, follow: bool
) -> AsyncGenerator[Any]:
    """Yield the records up to the current end, or forever; in order of each partition.

    Raises UserError if Kafka fails, or the topic or partition does not exist; UsageError for an
    offset without a partition.
    """
    async with open_clients(kafka) as (admin, consumer):
        tps = await _partitions(admin, topic, partition)
        if start.offset is not None and len(tps) > 1:
            raise UsageError("--from with an offset needs --partition: each has its own offsets")
        ends = await consumer.end_offsets(tps)
        starts = await _starts(consumer, tps, start, ends)
        records = records_from(consumer, starts)
        if not follow:
            records = records_between(consumer, starts, ends)
        async for record in records:
            yield record


async def _partitions(admin: Any, topic: Topic, partition: int | None) -> list[TopicPartition]:
    (found,) = await admin.describe_topics([topic.name])
    if found["error_code"]:
        raise UserError(f"There is no topic {topic.name}: `headrace topics create` creates it")
    numbers = sorted(one["partition"] for one in found["partitions"])
    if partition is None:
        return [TopicPartition(topic.name, number) for number in numbers]
    if partition not in numbers:
        raise UsageError(f"--partition {partition}: {topic.name} has 0 to {numbers[-1]}")
    return [TopicPartition(topic.name, partition)]


async def _starts(
    consumer: Any, tps: list[TopicPartition], start: Start, ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    if start.at_end:
        return dict(ends)
    if start.time_ms is not None:
        at = await consumer.offsets_for_times(dict.fromkeys(tps, start.time_ms))
        return {tp: found.offset if (found := at.get(tp)) else ends[tp] for tp in tps}
    begins = await consumer.beginning_offsets(tps)
    return {tp: min(max(begins[tp], start.offset or 0), ends[tp]) for tp in tps}
