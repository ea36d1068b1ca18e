"""Publish to the compacted configuration topics, which are authoritative."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from kafka_clients.clients import CLIENT_ERRORS, make_producer
from schemas.codec import encode
from schemas.kafka_settings import KafkaSettings
from schemas.records import BlockedId, ImportWindow, ProcessStatus, Site, Subscription
from schemas.topics import SUBSCRIPTIONS, Topic

_DEADLINE_SECONDS = 8.0
_REQUEST_TIMEOUT_MS = 3_000


class Unavailable(Exception):  # noqa: N818 - names the condition
    """Kafka or the database did not respond in time; the change may or may not have been made."""


Configuration = Subscription | ImportWindow | Site | BlockedId | ProcessStatus
#: Publishes a record for a key, None for a tombstone. Returns when all in-sync replicas have it;
#: raises `Unavailable` after a timeout.
PublishConfiguration = Callable[[str, Configuration | None], Awaitable[None]]
Publish = Callable[[str, Subscription | None], Awaitable[None]]


@asynccontextmanager
async def open_publisher(
    kafka: KafkaSettings, topic: Topic = SUBSCRIPTIONS
) -> AsyncIterator[PublishConfiguration]:
    """Yield a function that publishes to a topic; it connects on first use, and reconnects."""
    publisher = _Publisher(kafka, topic.name)
    try:
        yield publisher.publish
    finally:
        await publisher.close()


class _Publisher:
    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._producer: Any = None
        self._connecting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def publish(self, key: str, record: Configuration | None) -> None:
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                producer = await self._connect()
                value = None if record is None else encode(record)
                await producer.send_and_wait(self._topic, value, key.encode())
        except CLIENT_ERRORS as error:  # TimeoutError is an OSError
            self._discard_producer()
            raise Unavailable(
                f"Kafka did not confirm a record of {self._topic} in time; try again"
            ) from error

    async def close(self) -> None:
        """Close the producer."""
        self._discard_producer()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _discard_producer(self) -> None:
        """Close the producer without waiting for it, because it may be stuck."""
        producer, self._producer = self._producer, None
        if producer is not None:
            task = asyncio.create_task(producer.stop())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _connect(self) -> Any:
        """Return the producer; connect if there is none."""
        async with self._connecting:
            if self._producer is None:
                producer = make_producer(
                    self._kafka,
                    client_id=f"headrace-{self._topic}",
                    request_timeout_ms=_REQUEST_TIMEOUT_MS,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
        return self._producer
