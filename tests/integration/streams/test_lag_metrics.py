"""The lag that a worker measures on a real broker."""

import asyncio
from contextlib import suppress
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from schemas.kafka_settings import KafkaSettings
from schemas.topics import Topic
from streams.engine import worker as engine
from streams.engine.batch import Batch
from streams.engine.offsets import committed_offsets
from streams.engine.worker import Worker
from tests.fixtures.waiting import eventually_async

pytestmark = pytest.mark.timeout(120)
_RECORDS = 50


def value(worker: Worker, name: str, **labels: str) -> float | None:
    """Return the value of a metric of a worker; None if it is not exposed."""
    return worker.metrics.registry.get_sample_value(f"headrace_test_{name}", labels)


async def test_the_lag_is_what_the_group_has_not_committed(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an agent is busy, and afterwards. `headrace status` reads the same commits."""
    monkeypatch.setattr(engine, "_WATCH_SECONDS", 0.5)
    topic = Topic(f"lag-{uuid4().hex}", "", "", "")
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic.name, 1, 1)])
    worker = Worker(f"{topic.name}-app", KafkaSettings(bootstrap_servers=kafka), role="test")
    may_continue = asyncio.Event()

    @worker.agent(topic)
    async def read_slowly(_: Batch) -> None:
        await may_continue.wait()

    def lag() -> tuple[float | None, float | None]:
        labels = {"topic": topic.name, "partition": "0"}
        return value(worker, "lag_records", **labels), value(worker, "lag_seconds", **labels)

    async def uncommitted() -> int:
        offsets = await committed_offsets(admin, worker.app_id)
        return _RECORDS - sum(offsets.values())

    stop = asyncio.Event()
    running = asyncio.ensure_future(worker.run(stop))
    try:
        async with AIOKafkaProducer(bootstrap_servers=kafka, acks="all") as producer:
            for number in range(_RECORDS):
                await producer.send_and_wait(topic.name, b"%d" % number)
        await eventually_async(
            lambda: lag()[0] == _RECORDS and (lag()[1] or 0) > 1,
            within_seconds=60,
            what="the lag is measured",
        )
        assert await uncommitted() == _RECORDS
        may_continue.set()
        await eventually_async(lambda: lag() == (0, 0), within_seconds=60, what="the lag is gone")

        async def is_committed() -> bool:
            return await uncommitted() == 0

        await eventually_async(is_committed, within_seconds=30, what="the commit")
        batches = value(worker, "batch_records_sum", agent="read_slowly")
        assert (batches, value(worker, "rebalances_total")) == (_RECORDS, 1)
    finally:
        stop.set()
        with suppress(asyncio.CancelledError):
            await running
        await admin.close()
