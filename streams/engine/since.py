"""Where in a topic a time begins."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition


class Stretch(NamedTuple):
    """Offsets of one partition: the first that is wanted, and the end as it was when asked."""

    begin: int
    end: int


async def stretches_since(
    bootstrap_servers: str, topic: str, partitions: Collection[int], timestamp_ms: int
) -> Mapping[int, Stretch]:
    """Return, for each partition, what was written since a time (ms, UTC)."""
    places = [TopicPartition(topic, partition) for partition in partitions]
    if not places:
        return {}
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False)
    await consumer.start()
    try:
        found = await consumer.offsets_for_times(dict.fromkeys(places, timestamp_ms))
        ends = await consumer.end_offsets(places)
    finally:
        await consumer.stop()
    return {
        place.partition: Stretch(
            ends[place] if found[place] is None else found[place].offset, ends[place]
        )
        for place in places
    }
