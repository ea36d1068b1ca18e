"""Fills topics with batches that are built in advance, so that sending them takes little CPU."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.partitioner import murmur2

from headrace.admin.topics import create_topics
from schemas.kafka_settings import KafkaSettings
from schemas.topics import TOPICS

_BATCH_BYTES = 512 * 1024

#: Key, value, headers.
Record = tuple[bytes, bytes, Sequence[tuple[str, bytes]]]


async def recreate_topics(bootstrap: str, partitions: int) -> None:
    """Delete and create all topics of headrace."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic.name for topic in TOPICS])
    finally:
        await admin.close()
    await create_topics(KafkaSettings(bootstrap_servers=bootstrap, partitions=partitions))


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that Kafka's default partitioner chooses for a key."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def batch_producer(bootstrap: str) -> AIOKafkaProducer:
    """Return a producer for `send_batches`."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap, compression_type="lz4", max_batch_size=_BATCH_BYTES
    )


def make_batches(producer: AIOKafkaProducer, records: Iterable[Record]) -> Iterator[Any]:
    """Yield records as compressed batches."""
    builder = producer.create_batch()
    for key, value, headers in records:
        record = {"timestamp": None, "key": key, "value": value, "headers": list(headers)}
        if builder.append(**record) is None:
            builder.close()
            yield builder
            builder = producer.create_batch()
            builder.append(**record)
    builder.close()
    yield builder


async def send_batches(
    producer: AIOKafkaProducer, topic: str, partition: int, batches: Iterable[Any]
) -> None:
    """Send batches in sequence, each after the ack of the last."""
    for batch in batches:
        await (await producer.send_batch(batch, topic, partition=partition))
