"""A topic that a group did not see in its assignment."""

import asyncio
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from schemas.kafka_settings import KafkaSettings
from schemas.topics import Topic
from streams.engine.batch import Batch
from streams.engine.worker import Worker
from tests.fixtures.waiting import eventually_async

pytestmark = pytest.mark.timeout(120)


async def test_a_topic_that_appears_late_is_assigned_soon(kafka: str) -> None:
    """Not after 5 minutes. A restarted broker publishes its topics one by one."""
    topic = Topic(f"late-{uuid4().hex}", "", "", "")
    read: list[Any] = []

    worker = Worker(f"{topic.name}-app", KafkaSettings(bootstrap_servers=kafka))

    @worker.agent(topic)
    def read_late(batch: Batch) -> None:
        read.extend(batch.records)

    stop = asyncio.Event()
    running = asyncio.ensure_future(worker.run(stop))
    try:
        await eventually_async(
            lambda: worker.not_ready is None,
            within_seconds=30,
            what="the group has shared out what it knows",
        )
        assert worker.partitions_of(topic) == []
        await _create(kafka, topic)
        async with AIOKafkaProducer(bootstrap_servers=kafka, acks="all") as producer:
            await producer.send_and_wait(topic.name, b"x", b"key")
        await eventually_async(lambda: read, within_seconds=60, what="the topic is read")
    finally:
        stop.set()
        with suppress(asyncio.CancelledError):
            await running

    assert [record.value for record in read] == [b"x"]


async def _create(kafka: str, topic: Topic) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic.name, 4, 1)])
    finally:
        await admin.close()
