"""Creates the salts of visitor ids ahead of their day, and deletes them after 48 hours (ADR 64)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from producer_api.events.derive.salts import Salts, day_name
from producer_api.produce.accumulator import BatchBuilder
from schemas.topics import SALTS

_log = logging.getLogger(__name__)

_CHECK_SECONDS = 30.0
#: After a failure: the role is not ready without the salt of today.
_RETRY_SECONDS = 5.0


class Writer(Protocol):
    """The methods of `ReconnectingProducer` that are used here."""

    def create_batch(self) -> BatchBuilder:
        """Return an empty batch."""

    async def ready(self) -> None:
        """Wait until batches can be sent."""

    async def send_batch(self, batch: BatchBuilder, topic: str, partition: int) -> None:
        """Return when all in-sync replicas have the batch."""


async def keep_salts(
    salts: Salts,
    writer: Writer,
    loaded: Callable[[], Awaitable[None]],
    check_seconds: float = _CHECK_SECONDS,
) -> None:
    """Create missing salts and delete expired ones, until cancelled.

    `loaded` returns when `salts` has all records that were in the topic at the start. Processes
    that create a salt at the same time use the first one in the topic.
    """
    await loaded()
    while True:
        await writer.ready()
        tombstones = [(day, None) for day in salts.expire()]
        created = [(day, salts.candidate(day)) for day in salts.missing()]
        pause = check_seconds
        for day, value in [*tombstones, *created]:
            try:
                await _write(writer, day, value)
            except Exception as error:  # noqa: BLE001 - tried again after a pause
                _log.warning("%s cannot be written: %s", SALTS.name, type(error).__name__)
                pause = min(check_seconds, _RETRY_SECONDS)
        await asyncio.sleep(pause)


async def _write(writer: Writer, day: int, value: bytes | None) -> None:
    batch = writer.create_batch()
    batch.append(key=day_name(day).encode(), value=value, timestamp=None, headers=[])
    # One partition: the order of its records decides between the candidates of a day.
    await writer.send_batch(batch, SALTS.name, 0)
