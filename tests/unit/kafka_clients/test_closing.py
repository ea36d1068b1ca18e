"""Stopping a client."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer

from kafka_clients.clients import make_consumer
from schemas.kafka_settings import KafkaSettings


async def _cancels_itself(_: AIOKafkaConsumer) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def test_stop_ignores_a_consumer_that_cancels_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of aiokafka cancels itself when its broker died; the caller was not cancelled."""
    monkeypatch.setattr(AIOKafkaConsumer, "stop", _cancels_itself)

    await make_consumer(KafkaSettings()).stop()


async def test_stop_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancellation of the caller is raised."""
    may_end = asyncio.Event()

    async def waits(_: AIOKafkaConsumer) -> None:
        await may_end.wait()

    monkeypatch.setattr(AIOKafkaConsumer, "stop", waits)
    stopping = asyncio.ensure_future(make_consumer(KafkaSettings()).stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    may_end.set()
