"""Offset ranges: the records of partitions since a time."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from aiokafka import TopicPartition

from kafka_clients.clients import make_consumer
from schemas.kafka_settings import KafkaSettings
from streams.engine.offsets import assign_paused


class OffsetRange(NamedTuple):
    """Offsets of one partition: the first one, and the end offset at the time of the request."""

    begin: int
    end: int


async def offset_ranges_since(
    kafka: KafkaSettings, topic: str, partitions: Collection[int], timestamp_ms: int
) -> Mapping[int, OffsetRange]:
    """Return the range of each partition that was written since a time (ms, UTC)."""
    places = [TopicPartition(topic, partition) for partition in partitions]
    if not places:
        return {}
    consumer = make_consumer(kafka)
    await consumer.start()
    try:
        assign_paused(consumer, places)
        found = await consumer.offsets_for_times(dict.fromkeys(places, timestamp_ms))
        ends = await consumer.end_offsets(places)
    finally:
        await consumer.stop()
    return {
        place.partition: OffsetRange(
            ends[place] if found[place] is None else found[place].offset, ends[place]
        )
        for place in places
    }
