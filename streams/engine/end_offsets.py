"""End offsets of partitions, also when the worker's own consumer is stuck."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from kafka_clients.clients import make_consumer
from schemas.kafka_settings import KafkaSettings

Places = Collection[TopicPartition]
Ends = Mapping[TopicPartition, int]
Ask = Callable[[Places], Awaitable[Ends]]


def by_another_client(kafka: KafkaSettings) -> Ask:
    """Return a function that reads the end offsets with a new client on each call."""

    async def ask(places: Places) -> Ends:
        consumer = make_consumer(kafka)
        await consumer.start()
        try:
            ends: Ends = await consumer.end_offsets(places)
        finally:
            await consumer.stop()
        return ends

    return ask


async def first_answer(asks: Sequence[Ask], places: Places, seconds: float) -> Ends:
    """Return the answer of the first of `asks` that answers within `seconds`; {} if none does.

    After a broker was killed, an aiokafka client can hang: it neither reads, commits nor raises.
    Another client then shows that Kafka is available and that records are waiting.
    """
    for ask in asks:
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(seconds):
                return await ask(places)
    return {}
