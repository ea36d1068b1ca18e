"""What came of a candidate's work, as Kafka has it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition


class Results(NamedTuple):
    """Topics of results.

    Each record is one, or, with `told`, the last of its partition and key is a state that tells
    of so many.
    """

    topics: Sequence[str]
    told: Callable[[bytes], int] | None = None


async def results_of(kafka: str, results: Results, partitions: int) -> int:
    """Return how many results there are, or of how many the last states tell."""
    places = [TopicPartition(topic, n) for topic in results.topics for n in range(partitions)]
    async with AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False) as consumer:
        ends = await consumer.end_offsets(places)
        if results.told is None:
            return sum(ends.values())
        states = await _last_values(consumer, ends)
    return sum(map(results.told, states))


async def _last_values(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> list[bytes]:
    states: dict[tuple[TopicPartition, bytes], bytes | None] = {}
    left = {place for place, end in ends.items() if end}
    consumer.assign(left)
    await consumer.seek_to_beginning()
    while left:
        for place, records in (await consumer.getmany(timeout_ms=1_000)).items():
            states |= {(place, record.key): record.value for record in records}
        left = {place for place in left if await consumer.position(place) < ends[place]}
    return [value for value in states.values() if value is not None]
