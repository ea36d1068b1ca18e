"""All records are sent, also those that do not fit into the current batch."""

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
    """A producer that accepts batches or fails, as the test sets."""

    def __init__(self, failures: list[Exception] | None = None) -> None:
        self.batches: list[int] = []
        self._failures = failures or []

    def create_batch(self) -> BatchBuilder:
        """Return a batch builder of aiokafka with 512 KiB, as in production."""
        return BatchBuilder(512 * 1024, 0)

    async def send_batch(self, builder: Any, *_: object, **__: object) -> Any:
        """Accept a batch."""
        if self._failures:
            raise self._failures.pop()
        self.batches.append(builder.record_count())
        done = asyncio.get_running_loop().create_future()
        done.set_result(RecordMetadata("t", 0, None, 0, -1, 0, 0))
        return done


def producer_over(kafka: FakeKafka, *, is_stopping: bool = False) -> BatchProducer:
    """Return the engine's producer with a fake client."""
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
async def test_every_record_is_sent_whatever_its_size(record: OutRecord) -> None:
    """A record that does not fit into a batch is in the next one."""
    kafka = FakeKafka()

    count = 20_000 if record.value is None else 1_500
    await producer_over(kafka).send("topic", 0, [record] * count)

    assert sum(kafka.batches) == count


async def test_a_failed_batch_is_retried() -> None:
    """After transient errors."""
    kafka = FakeKafka([KafkaTimeoutError(), KafkaTimeoutError()])

    producer = producer_over(kafka)
    sending = asyncio.ensure_future(producer.send("topic", 0, [OutRecord(b"k", b"v")]))
    await eventually_async(
        lambda: producer.unacknowledged == {("topic", 0)}, within_seconds=10, what="it is retried"
    )
    await sending

    assert kafka.batches == [1]
    assert not producer.unacknowledged


async def test_a_record_that_is_too_large_is_not_retried() -> None:
    """No retry would succeed."""
    with pytest.raises(MessageSizeTooLargeError):
        await producer_over(FakeKafka([MessageSizeTooLargeError()])).send(
            "topic", 0, [OutRecord(b"k", b"v")]
        )


async def test_a_stopping_worker_does_not_wait_for_kafka() -> None:
    """Unsent records are read again later."""
    kafka = FakeKafka([KafkaTimeoutError()])

    with pytest.raises(StoppingError):
        await producer_over(kafka, is_stopping=True).send("topic", 0, [OutRecord(b"k", b"v")])


async def test_a_denied_write_is_reported_until_one_succeeds() -> None:
    """It is retried, because an operator may grant the access."""
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
