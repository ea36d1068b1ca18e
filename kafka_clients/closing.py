"""Clients that close within a bounded time, whatever state the broker is in.

Over TLS, aiokafka waits until each connection is closed, and Python closes one only once the
other side has confirmed it, or after 30 s. Brokers often do not: a worker that opened a client for
a moment stood still for so long (docs/adr/0057). And a consumer whose broker has just died raises
a CancelledError out of `stop` though nobody cancelled: it cancels the fetch that it waits for.
On uvloop a client raises RuntimeError out of `stop` after a write to a closed connection ended one
of its tasks (docs/adr/0051).
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

_log = logging.getLogger(__name__)

#: For all that is done before the connections are closed: a group to leave, batches to send.
_END_SECONDS = 5.0
#: For a client that has nothing to finish.
_CLOSE_SECONDS = 0.3
#: Clients whose connections are still being closed.
_closing: set[asyncio.Task[None]] = set()


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]
    """A consumer whose `stop` takes 5 s at most and is cancelled only from outside."""

    _limit_seconds = _END_SECONDS

    async def stop(self) -> None:
        """Leave the group, if it is in one, and close the connections."""
        await _finish(super().stop(), self._limit_seconds)


class TlsConsumer(Consumer):
    """A consumer in no group, whose `stop` returns while its connections are being closed."""

    _limit_seconds = _CLOSE_SECONDS


class Producer(AIOKafkaProducer):  # type: ignore[misc]
    """A producer whose `stop` takes 5 s at most."""

    async def stop(self) -> None:
        """Send what waits, and close the connections."""
        await _finish(super().stop(), _END_SECONDS)


class TlsAdmin(AIOKafkaAdminClient):  # type: ignore[misc]
    """An admin client whose `close` returns while its connections are being closed."""

    async def close(self) -> None:
        """Close the connections."""
        await _finish(super().close(), _CLOSE_SECONDS)


async def _finish(work: Coroutine[Any, Any, None], seconds: float) -> None:
    """Wait for the work, for so long at most; it goes on after that, or when this is cancelled."""
    task = asyncio.ensure_future(work)
    _closing.add(task)
    task.add_done_callback(_closing.discard)
    done, _ = await asyncio.wait([task], timeout=seconds)
    if done and not task.cancelled():
        try:
            task.result()
        except RuntimeError as error:
            _log.debug("A Kafka client had failed before it was closed: %s", error)
