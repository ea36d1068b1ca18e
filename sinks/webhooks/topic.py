"""The compacted topic of subscriptions, written: what it holds is what is evaluated."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.codec import encode
from schemas.records import Subscription
from schemas.topics import SUBSCRIPTIONS

_DEADLINE_SECONDS = 8.0
_REQUEST_TIMEOUT_MS = 3_000


class Unavailable(Exception):  # noqa: N818 - what it says, not that it is an error
    """Kafka or the database did not answer in time: nothing was promised, ask again."""


#: Writes the last record of a subscription, None for a tombstone; returns when all in-sync
#: replicas have it, and raises `Unavailable` when they do not in time.
Publish = Callable[[str, Subscription | None], Awaitable[None]]


@asynccontextmanager
async def open_topic(bootstrap_servers: str) -> AsyncIterator[Publish]:
    """Give the writer of the topic; it connects when first used, and again after an outage."""
    link = _Link(bootstrap_servers)
    try:
        yield link.publish
    finally:
        await link.close()


class _Link:
    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._producer: Any = None
        self._connecting = asyncio.Lock()

    async def publish(self, subscription_id: str, record: Subscription | None) -> None:
        value = None if record is None else encode(record)
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                producer = await self._connected()
                await producer.send_and_wait(SUBSCRIPTIONS.name, value, subscription_id.encode())
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable("Kafka did not take the subscription in time; try again") from error

    async def close(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(_DEADLINE_SECONDS):
                    await self._producer.stop()

    async def _connected(self) -> Any:
        async with self._connecting:
            if self._producer is None:
                # No idempotence: it makes futures hang while the broker is away.
                producer: Any = AIOKafkaProducer(
                    bootstrap_servers=self._bootstrap_servers,
                    client_id="headrace-subscriptions",
                    acks="all",
                    enable_idempotence=False,
                    request_timeout_ms=_REQUEST_TIMEOUT_MS,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
        return self._producer
