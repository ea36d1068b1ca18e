"""The producer with a Kafka client that hangs after its first response."""

import asyncio
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest
from aiokafka.errors import KafkaError

from producer_api.produce import producer as kafka
from producer_api.produce.accumulator import RetriableError
from producer_api.produce.producer import ReconnectingProducer
from schemas.kafka_settings import KafkaSettings
from tests.component.producer_api.fake_kafka import FakeBatch
from tests.fixtures.waiting import eventually_async


class _Stuck:
    """A producer whose client hangs after its first response, and fails to close."""

    def __init__(self) -> None:
        cluster = SimpleNamespace(partitions_for_topic=lambda _: {0})
        self.client = SimpleNamespace(
            fetch_all_metadata=self._returning(cluster), force_metadata_update=self._wait
        )
        self._sender = SimpleNamespace(sender_task=asyncio.get_running_loop().create_future())

    @staticmethod
    def _returning(cluster: object) -> object:
        async def response() -> object:
            return cluster

        return response

    async def _wait(self) -> bool:
        return bool(await asyncio.get_running_loop().create_future())

    async def start(self) -> None:
        """Do nothing."""

    async def partitions_for(self, _: str) -> set[int]:
        """Return one partition."""
        return {0}

    @staticmethod
    def create_batch() -> FakeBatch:
        """Return an empty batch."""
        return FakeBatch(1_000)

    async def send_batch(self, *_: object, **__: object) -> "asyncio.Future[None]":
        """Return a future that is never done."""
        return asyncio.get_running_loop().create_future()

    async def stop(self) -> None:
        """Raise the error of a client on uvloop whose task has ended."""
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>")


def new_producer() -> ReconnectingProducer:
    """Return a producer that is not started."""
    kafka_settings = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    return ReconnectingProducer(kafka_settings, "events-raw", deadline_seconds=4)


async def test_a_producer_whose_client_is_stuck_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even if closing the old producer fails."""
    made: list[_Stuck] = []

    def make(*_: object, **__: object) -> _Stuck:
        made.append(_Stuck())
        return made[-1]

    monkeypatch.setattr(kafka, "make_producer", make)
    monkeypatch.setattr(kafka, "_STALE_SECONDS", 0.01)
    producer = new_producer()
    producer.start(lambda _: None)
    try:
        await eventually_async(
            lambda: len(made) > 1, within_seconds=10, what="a second producer is made"
        )
        assert producer.problem is not None
    finally:
        await producer.stop()


async def test_a_request_can_create_a_batch_as_soon_as_the_intake_opens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Requests that wait for the start do so at once."""
    batches: list[object] = []
    monkeypatch.setattr(kafka, "make_producer", lambda *_, **__: _Stuck())
    producer = new_producer()
    producer.start(lambda _: batches.append(producer.create_batch()))
    try:
        await eventually_async(lambda: batches, within_seconds=10, what="a batch is created")
    finally:
        await producer.stop()


async def test_a_batch_of_a_stuck_client_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise its partition would wait for ever."""
    monkeypatch.setattr(kafka, "make_producer", lambda *_, **__: _Stuck())
    monkeypatch.setattr(kafka, "_STALE_SECONDS", 0.01)
    producer = new_producer()
    producer.start(lambda _: None)
    try:
        await producer.ready()
        with pytest.raises(RetriableError):
            await asyncio.wait_for(producer.send_batch(FakeBatch(1_000), "events-raw", 0), 10)
    finally:
        await producer.stop()


async def test_batches_of_a_producer_that_failed_are_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Aiokafka fails them with this error; the next producer can send them."""
    failed = _Stuck()
    failed.send_batch = AsyncMock(side_effect=KafkaError("Unexpected error"))  # type: ignore[method-assign]
    monkeypatch.setattr(kafka, "make_producer", lambda *_, **__: failed)
    producer = new_producer()
    producer.start(lambda _: None)
    try:
        await producer.ready()
        with pytest.raises(RetriableError):
            await producer.send_batch(FakeBatch(1_000), "events-raw", 0)
    finally:
        await producer.stop()


async def test_an_unexpected_error_does_not_end_the_attempts_to_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without another attempt, all events would fail until the restart."""
    broken = _Stuck()
    broken.start = AsyncMock(side_effect=AssertionError)  # type: ignore[method-assign]
    producers = [_Stuck(), broken]
    monkeypatch.setattr(kafka, "make_producer", lambda *_, **__: producers.pop())
    producer = new_producer()
    producer.start(lambda _: None)
    try:
        await asyncio.wait_for(producer.ready(), 10)
        assert not producers
    finally:
        await producer.stop()
