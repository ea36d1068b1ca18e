import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic

from kafka_clients.clients import make_admin, make_consumer, make_producer
from schemas.kafka_settings import KafkaSettings
from tests.fixtures.secure_kafka import MECHANISMS, SecureKafka, needed


@asynccontextmanager
async def connected(kafka: KafkaSettings) -> AsyncIterator[Any]:
    """Yield a started admin client."""
    admin = make_admin(kafka)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_clients_log_in_by_each_mechanism(mechanism: str, secure_kafka: SecureKafka) -> None:
    """All three clients, over TLS, as a user with the documented ACLs."""
    prefix = f"{uuid4().hex}-"
    topic, group = f"{prefix}topic", f"{prefix}headrace-test"
    await secure_kafka.allow(*needed(prefix))
    async with connected(KafkaSettings(bootstrap_servers=secure_kafka.administrator)) as admin:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    kafka = KafkaSettings.model_validate(secure_kafka.settings(mechanism))

    async with make_producer(kafka) as producer:
        await producer.send_and_wait(topic, b"hello")
    async with make_consumer(
        kafka, topic, group_id=group, auto_offset_reset="earliest"
    ) as consumer:
        assert (await consumer.getone()).value == b"hello"
        await consumer.commit()
    async with connected(kafka) as admin:
        committed = await admin.list_consumer_group_offsets(group)

    assert committed[TopicPartition(topic, 0)].offset == 1


async def test_clients_over_tls_do_not_wait_for_the_broker_to_close_connections(
    secure_kafka: SecureKafka,
) -> None:
    """Closing a client took up to 30 s, and a worker opens one per partition."""
    kafka = KafkaSettings.model_validate(secure_kafka.settings("PLAIN"))

    async with asyncio.timeout(30):  # twenty clients, and starting them takes most of it
        for _ in range(10):
            async with connected(kafka), make_consumer(kafka) as consumer:
                await consumer.topics()
