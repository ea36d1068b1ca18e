"""A backlog of full record batches in several partitions."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from schemas.kafka_settings import KafkaSettings
from schemas.topics import RECORD_BATCH_BYTES, Topic
from streams.engine.batch import Batch
from streams.engine.producer import BatchProducer, OutRecord
from streams.engine.worker import Worker

pytestmark = pytest.mark.timeout(120)

_PARTITIONS = 4
_VALUE = bytes(32 * 1024)


class _MeetingWorker(Worker):
    """A worker whose agent waits until it has a batch of each partition."""

    def __init__(self, app_id: str, kafka: KafkaSettings) -> None:
        super().__init__(app_id, kafka)
        self.meeting = asyncio.Barrier(_PARTITIONS)
        self.met = asyncio.Event()

    async def handle(self, tp: TopicPartition, records: Sequence[Any]) -> bool:
        """Process a batch once the others are here."""
        if not self.met.is_set():
            await self.meeting.wait()
            self.met.set()
        return await super().handle(tp, records)


async def test_a_fetch_of_a_backlog_returns_records_of_all_partitions(kafka: str) -> None:
    """Larger batches would come from one partition at a time."""
    settings = KafkaSettings(bootstrap_servers=kafka)
    topic = Topic(f"backlog-{uuid4().hex}", "", "", "")
    await _fill(settings, topic)
    worker = _MeetingWorker(f"{topic.name}-app", settings)

    @worker.agent(topic)
    def read(_: Batch) -> None:
        pass

    stop = asyncio.Event()
    running = asyncio.ensure_future(worker.run(stop))
    try:
        async with asyncio.timeout(30):
            await worker.met.wait()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def _fill(settings: KafkaSettings, topic: Topic) -> None:
    """Write two batches, as full as the engine fills them, to each partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic.name, _PARTITIONS, 1)])
    finally:
        await admin.close()
    records = [OutRecord(b"key", _VALUE)] * (2 * RECORD_BATCH_BYTES // len(_VALUE))
    producer = BatchProducer(settings, lambda: False)
    await producer.start()
    try:
        for partition in range(_PARTITIONS):
            await producer.send(topic.name, partition, records)
    finally:
        await producer.stop()
