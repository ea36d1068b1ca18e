"""Stopping a client."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError

from kafka_clients.clients import make_consumer, make_producer
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


@pytest.mark.parametrize("make_client", [make_consumer, make_producer])
async def test_a_client_that_cannot_start_is_closed(
    make_client: Callable[[KafkaSettings], Any],
) -> None:
    """Otherwise asyncio logs it as unclosed, twice a second during an outage."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    client = make_client(KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    with pytest.raises(KafkaConnectionError):
        await client.start()

    del client
    gc.collect()
    assert reported == []
