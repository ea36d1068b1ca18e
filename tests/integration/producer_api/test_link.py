from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from producer_api.produce.producer import ReconnectingProducer
from schemas.kafka_settings import KafkaSettings
from tests.component.producer_api.fake_kafka import Stored
from tests.component.producer_api.transport_suite import PARTITIONS, TransportSuite
from tests.fixtures.waiting import eventually_async


async def create_topic(kafka: str, partitions: int) -> str:
    """Create a topic with a random name."""
    name = f"events-{uuid4()}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1)])
    finally:
        await admin.close()
    return name


async def read_all(kafka: str, topic: str, count: int) -> list[Stored]:
    """Read the topic's first `count` records."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        records = [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()
    return [
        Stored(record.partition, record.key, record.value, list(record.headers))
        for record in records
    ]


class TestReconnectingProducer(TransportSuite):
    """The real producer with a real broker."""

    @pytest.fixture
    async def topic(self, kafka: str) -> str:
        """Return a new topic."""
        return await create_topic(kafka, PARTITIONS)

    @pytest.fixture
    async def connection(self, kafka: str, topic: str) -> AsyncIterator[ReconnectingProducer]:
        """Yield a producer, and stop it afterwards."""
        producer = ReconnectingProducer(
            KafkaSettings(bootstrap_servers=kafka), topic, deadline_seconds=4
        )
        yield producer
        await producer.stop()

    @pytest.fixture
    def stored(self, kafka: str, topic: str) -> Callable[[], Awaitable[Sequence[Stored]]]:
        """Return a function that reads the topic."""

        async def read() -> Sequence[Stored]:
            return await read_all(kafka, topic, 2)

        return read


async def test_the_problem_of_a_missing_topic_names_the_command(kafka: str) -> None:
    """`headrace topics create` creates it."""
    producer = ReconnectingProducer(
        KafkaSettings(bootstrap_servers=kafka), "no-such-topic", deadline_seconds=4
    )
    producer.start(lambda _: None)

    try:
        await eventually_async(
            lambda: "headrace topics create" in (producer.problem or ""),
            within_seconds=10,
            what="the problem names the command",
        )
    finally:
        await producer.stop()


async def test_a_producer_whose_sender_task_ended_is_replaced(kafka: str) -> None:
    """An unexpected error ends aiokafka's sender task; batches are sent again afterwards."""
    topic = await create_topic(kafka, 1)
    producer = ReconnectingProducer(
        KafkaSettings(bootstrap_servers=kafka), topic, deadline_seconds=4
    )
    producer.start(lambda _: None)
    try:
        await producer.ready()
        dead = producer._producer  # noqa: SLF001 - simulates the error
        dead._sender.sender_task.cancel()  # noqa: SLF001
        await eventually_async(
            lambda: producer._producer is not dead,  # noqa: SLF001
            within_seconds=15,
            what="there is another producer",
        )
        await producer.ready()
        batch = producer.create_batch()
        batch.append(key=b"k", value=b"v", timestamp=None, headers=[])
        await producer.send_batch(batch, topic, 0)

        assert await read_all(kafka, topic, 1) == [Stored(0, b"k", b"v", [])]
    finally:
        await producer.stop()
