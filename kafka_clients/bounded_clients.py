"""Clients that close within a bounded time, also after a failed start.

Workarounds for aiokafka:

- Over TLS it waits for the broker's `close_notify`, up to 30 s. Brokers often send none
  (docs/adr/0057).
- `stop` of a consumer whose broker has just died raises CancelledError without a cancellation.
- A client whose `start` failed stays open: asyncio logs "Unclosed" when it is collected.
- On uvloop, `stop` raises RuntimeError if a write to a closed connection ended a task of the
  client (docs/adr/0051).
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from kafka_clients.registered_ids import use_registered_ids

_log = logging.getLogger(__name__)

#: Timeout for leaving a group, or sending the last batches, and closing the connections.
_STOP_SECONDS = 5.0
#: Timeout for closing the connections only.
_CLOSE_SECONDS = 0.3
#: Clients whose connections are still being closed.
_closing: set[asyncio.Task[None]] = set()


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]
    """A consumer whose `stop` takes at most 5 s, and raises CancelledError only if cancelled."""

    _timeout_seconds = _STOP_SECONDS

    async def start(self) -> None:
        """Connect; close what was opened if that fails.

        Raises `RegistryError` if a schema registry is configured and its ids cannot be read.
        """
        try:
            await use_registered_ids()
            await super().start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Leave the group, if any, and close the connections."""
        await _finish(super().stop(), self._timeout_seconds)


class TlsConsumer(Consumer):
    """A consumer without a group. `stop` may return before its connections are closed."""

    _timeout_seconds = _CLOSE_SECONDS


class Producer(AIOKafkaProducer):  # type: ignore[misc]
    """A producer whose `stop` takes at most 5 s."""

    async def start(self) -> None:
        """Connect; close what was opened if that fails.

        Raises `RegistryError` if a schema registry is configured and its ids cannot be read.
        """
        try:
            await use_registered_ids()
            await super().start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Send the pending batches, and close the connections."""
        await _finish(super().stop(), _STOP_SECONDS)


class TlsAdmin(AIOKafkaAdminClient):  # type: ignore[misc]
    """An admin client. `close` may return before its connections are closed."""

    async def close(self) -> None:
        """Close the connections."""
        await _finish(super().close(), _CLOSE_SECONDS)


async def _finish(work: Coroutine[Any, Any, None], seconds: float) -> None:
    """Wait for `work` up to `seconds`; it continues after a timeout, and after a cancellation."""
    task = asyncio.ensure_future(work)
    _closing.add(task)
    task.add_done_callback(_closing.discard)
    done, _ = await asyncio.wait([task], timeout=seconds)
    if done and not task.cancelled():
        try:
            task.result()
        except RuntimeError as error:
            _log.debug("A Kafka client had failed before it was closed: %s", error)
