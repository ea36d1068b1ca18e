"""Topics filled with whole batches, so that filling them takes next to nothing."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.partitioner import murmur2

from infra.topics import create_topics
from schemas.kafka_settings import KafkaSettings
from schemas.topics import TOPICS

_BATCH_BYTES = 512 * 1024

#: Key, value, headers.
Record = tuple[bytes, bytes, Sequence[tuple[str, bytes]]]


async def renew_topics(bootstrap: str, partitions: int) -> None:
    """Make all topics of headrace anew, with nothing in them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic.name for topic in TOPICS])
    finally:
        await admin.close()
    await create_topics(KafkaSettings(bootstrap_servers=bootstrap, partitions=partitions))


def partition_of(key: bytes, partitions: int) -> int:
    """Return where Kafka's own partitioner puts a key."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def sender(bootstrap: str) -> AIOKafkaProducer:
    """Return a producer for `send`."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap, compression_type="lz4", max_batch_size=_BATCH_BYTES
    )


def batches(producer: AIOKafkaProducer, records: Iterable[Record]) -> Iterator[Any]:
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


async def send(
    producer: AIOKafkaProducer, topic: str, partition: int, filled: Iterable[Any]
) -> None:
    """Send batches, one after the other."""
    for batch in filled:
        await (await producer.send_batch(batch, topic, partition=partition))
