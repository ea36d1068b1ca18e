"""Counts the results that a candidate has written to Kafka."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition


class Results(NamedTuple):
    """The topics of results.

    Each record is one result. With `count_of`, the last record of each partition and key is a
    state, and `count_of` returns its number of results.
    """

    topics: Sequence[str]
    count_of: Callable[[bytes], int] | None = None


async def count_results(kafka: str, results: Results, partitions: int) -> int:
    """Return the number of results."""
    assigned = [TopicPartition(topic, n) for topic in results.topics for n in range(partitions)]
    async with AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False) as consumer:
        ends = await consumer.end_offsets(assigned)
        if results.count_of is None:
            return sum(ends.values())
        states = await _last_values(consumer, ends)
    return sum(map(results.count_of, states))


async def _last_values(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> list[bytes]:
    states: dict[tuple[TopicPartition, bytes], bytes | None] = {}
    unread = {tp for tp, end in ends.items() if end}
    consumer.assign(unread)
    await consumer.seek_to_beginning()
    while unread:
        for tp, records in (await consumer.getmany(timeout_ms=1_000)).items():
            states |= {(tp, record.key): record.value for record in records}
        unread = {tp for tp in unread if await consumer.position(tp) < ends[tp]}
    return [value for value in states.values() if value is not None]
