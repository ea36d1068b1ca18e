"""Batches of any records go out whole: none is left behind because a batch was full."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from streams.engine.producer import BatchProducer, OutRecord, StoppingError


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
        done.set_result(None)
        return done


def producer_over(kafka: FakeKafka, *, is_stopping: bool = False) -> BatchProducer:
    """Return our producer over a fake."""
    producer = BatchProducer("nowhere:1", lambda: is_stopping)
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

    await producer_over(kafka).send("topic", 0, [OutRecord(b"k", b"v")])

    assert kafka.batches == [1]


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
