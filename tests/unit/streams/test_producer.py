"""Batches of any records go out whole: none is left behind because a batch was full."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from schemas.kafka_settings import KafkaSettings
from streams.engine.producer import BatchProducer, OutRecord, StoppingError
from tests.fixtures.waiting import eventually_async


class FakeKafka:
    """aiokafka's producer, as far as it is asked: takes batches, or fails as told."""

    def __init__(self, failures: list[Exception] | None = None) -> None:
        self.batches: list[int] = []
        self._failures = failures or []

    def create_batch(self) -> BatchBuilder:
        """Return a real builder, of 512 KiB as ours."""
        return BatchBuilder(512 * 1024, 0)

    async def send_batch(self, builder: Any, *_: object, **__: object) -> Any:
        """Take a batch."""
        if self._failures:
            raise self._failures.pop()
        self.batches.append(builder.record_count())
        done = asyncio.get_running_loop().create_future()
        done.set_result(RecordMetadata("t", 0, None, 0, -1, 0, 0))
        return done


def producer_over(kafka: FakeKafka, *, is_stopping: bool = False) -> BatchProducer:
    """Return our producer over a fake."""
    producer = BatchProducer(KafkaSettings(bootstrap_servers="nowhere:1"), lambda: is_stopping)
    producer._producer = kafka  # noqa: SLF001 - in the place of a connection
    return producer


@pytest.mark.parametrize(
    "record",
    [
        OutRecord(b"key", b"x" * 300, (("dlq-detail", b"d" * 500),)),
        OutRecord(None, None, (("type", b"tick"),)),
        OutRecord(b"key", b"x" * 900_000),
    ],
    ids=["long headers", "nothing but a header", "larger than a batch"],
)
async def test_every_record_is_sent_whatever_a_batch_holds(record: OutRecord) -> None:
    """Sizes are the batch's own business: what it does not take leaves with the next one."""
    kafka = FakeKafka()

    count = 20_000 if record.value is None else 1_500
    await producer_over(kafka).send("topic", 0, [record] * count)

    assert sum(kafka.batches) == count


async def test_a_batch_that_kafka_did_not_take_is_sent_again() -> None:
    """Trouble that passes is waited out."""
    kafka = FakeKafka([KafkaTimeoutError(), KafkaTimeoutError()])

    producer = producer_over(kafka)
    sending = asyncio.ensure_future(producer.send("topic", 0, [OutRecord(b"k", b"v")]))
    await eventually_async(
        lambda: producer.unacknowledged == {("topic", 0)}, within_seconds=10, what="it is retried"
    )
    await sending

    assert kafka.batches == [1]
    assert not producer.unacknowledged


async def test_a_record_that_is_too_large_is_not_tried_for_ever() -> None:
    """No retry mends it."""
    with pytest.raises(MessageSizeTooLargeError):
        await producer_over(FakeKafka([MessageSizeTooLargeError()])).send(
            "topic", 0, [OutRecord(b"k", b"v")]
        )


async def test_a_worker_that_ends_does_not_wait_for_kafka_to_come_back() -> None:
    """What was not sent is read again later."""
    kafka = FakeKafka([KafkaTimeoutError()])

    with pytest.raises(StoppingError):
        await producer_over(kafka, is_stopping=True).send("topic", 0, [OutRecord(b"k", b"v")])


async def test_what_kafka_refuses_is_said_until_it_takes_something() -> None:
    """An operator may allow it meanwhile, so it is sent again."""
    said: list[str | None] = []

    class Watched(FakeKafka):
        async def send_batch(self, builder: Any, *_: object, **__: object) -> Any:
            said.append(producer.problem)
            return await super().send_batch(builder)

    kafka = Watched([TopicAuthorizationFailedError("alerts")])
    producer = producer_over(kafka)

    await producer.send("alerts", 0, [OutRecord(b"k", b"v")])

    assert said[0] is None
    assert "READ and WRITE on the topic alerts" in (said[1] or "")
    assert producer.problem is None
