"""End offsets of partitions, even if the worker's own consumer hangs."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from kafka_clients.clients import make_consumer
from schemas.kafka_settings import KafkaSettings

Partitions = Collection[TopicPartition]
EndOffsets = Mapping[TopicPartition, int]
ReadEndOffsets = Callable[[Partitions], Awaitable[EndOffsets]]


def new_client_reader(kafka: KafkaSettings) -> ReadEndOffsets:
    """Return a function that reads end offsets, with a new client on each call."""

    async def read(partitions: Partitions) -> EndOffsets:
        consumer = make_consumer(kafka)
        await consumer.start()
        try:
            ends: EndOffsets = await consumer.end_offsets(partitions)
        finally:
            await consumer.stop()
        return ends

    return read


async def first_response(
    readers: Sequence[ReadEndOffsets], partitions: Partitions, seconds: float
) -> EndOffsets:
    """Return the end offsets from the first reader that responds within `seconds`, {} if none does.

    After a broker was killed, an aiokafka client can hang: it neither reads, commits nor raises.
    A new client then shows that Kafka is available and that records are waiting.
    """
    for read in readers:
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(seconds):
                return await read(partitions)
    return {}
