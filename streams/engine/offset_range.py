"""Offset ranges: the records of partitions that were written since a time."""

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
    """Return the range of the records of each partition written since `timestamp_ms` (UTC)."""
    tps = [TopicPartition(topic, partition) for partition in partitions]
    if not tps:
        return {}
    consumer = make_consumer(kafka)
    await consumer.start()
    try:
        assign_paused(consumer, tps)
        found = await consumer.offsets_for_times(dict.fromkeys(tps, timestamp_ms))
        ends = await consumer.end_offsets(tps)
    finally:
        await consumer.stop()
    return {
        tp.partition: OffsetRange(ends[tp] if found[tp] is None else found[tp].offset, ends[tp])
        for tp in tps
    }
