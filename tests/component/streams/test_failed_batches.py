"""A worker whose agent fails on a batch, while another batch is in progress."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka import TopicPartition

from schemas.kafka_settings import KafkaSettings
from schemas.topics import EVENTS_SESSION
from streams.engine import group, group_offsets
from streams.engine.batch import Batch
from streams.engine.worker import Worker
from tests.component.streams.bench import NotingProducer
from tests.fixtures.waiting import eventually_async
from tests.unit.streams.test_group import Consumer

ZERO, ONE = (TopicPartition(EVENTS_SESSION.name, number) for number in range(2))


class _Leaving(Consumer):
    """Appends to `order` when it leaves the group."""

    def __init__(self, order: list[str]) -> None:
        super().__init__()
        self._order = order

    async def stop(self) -> None:
        """Leave the group."""
        self._order.append("left")


class _Producer(NotingProducer):
    """Sends nothing."""

    async def start(self) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""


async def test_a_worker_leaves_its_group_after_the_batches_in_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They must not write to partitions that another worker has taken over."""
    order: list[str] = []
    begun, may_go_on = asyncio.Event(), asyncio.Event()
    consumer, producer = _Leaving(order), _Producer()

    async def committed(*_: object) -> Mapping[TopicPartition, int]:
        return {}

    async def process(batch: Batch) -> None:
        if batch.partition == ZERO.partition:
            await begun.wait()
            raise LookupError
        begun.set()
        await may_go_on.wait()
        order.append("processed")

    monkeypatch.setattr(group, "make_consumer", lambda *_, **__: consumer)
    monkeypatch.setattr(group_offsets, "fetch_committed", committed)
    worker = Worker("app", KafkaSettings())
    made: Any = producer
    worker.producer = made
    worker.agent(EVENTS_SESSION)(process)
    run = asyncio.ensure_future(worker.run(asyncio.Event()))
    await eventually_async(
        lambda: hasattr(consumer, "listener"), within_seconds=10, what="it joins the group"
    )
    for tp in (ZERO, ONE):
        consumer.write(tp)
    await consumer.assign(ZERO, ONE)
    await eventually_async(lambda: worker.app.crashed, within_seconds=10, what="the agent fails")
    for _ in range(100):  # many times as long as it took to leave
        await asyncio.sleep(0)
    may_go_on.set()
    with pytest.raises(LookupError):
        await run

    assert order == ["processed", "left"]
    assert consumer.committed == {ONE: 1}
