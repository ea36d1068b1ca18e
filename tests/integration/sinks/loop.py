"""The delivery loop as the role `sinks` runs it, and alerts for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sinks.delivery.dispatcher import Clock, Dispatcher
from sinks.delivery.sender import Sender
from sinks.sql.reader import open_reader
from sinks.sql.types import now_utc
from sinks.sql.writer import Writer
from tests.contract.sinks import samples
from tests.contract.sinks.samples import uuid_of
from tests.contract.sinks.subscribed import ALERTS, alert, deliveries, store


async def raise_alerts(url: str, start: int, count: int) -> list[str]:
    """Store alerts over a connection of its own, as another process does; return their ids."""
    writer = await samples.open_for_test(url)
    try:
        return await raise_by(writer, start, count)
    finally:
        await writer.close()


async def raise_by(writer: Writer, start: int, count: int) -> list[str]:
    """Store alerts by a writer; return their ids."""
    await writer.assign(ALERTS, 0)
    await store(writer, start, [alert(n) for n in range(start, start + count)])
    return [uuid_of(n) for n in range(start, start + count)]


@asynccontextmanager
async def delivering(url: str, clock: Clock = now_utc) -> AsyncIterator[list[tuple[str, str]]]:
    """Run the loop; yield the subscriptions that it disabled, with reasons."""
    writer = await samples.open_for_test(url)
    try:
        async with delivering_beside(writer, url, clock) as disabled:
            yield disabled
    finally:
        await writer.close()


@asynccontextmanager
async def delivering_beside(
    writer: Writer, url: str, clock: Clock = now_utc
) -> AsyncIterator[list[tuple[str, str]]]:
    """Run the loop over the database of a writer."""
    disabled: list[tuple[str, str]] = []

    async def disable(name: str, reason: str) -> None:
        disabled.append((name, reason))
        await samples.execute(url, "DELETE FROM subscriptions")

    reader = open_reader(url)
    async with Sender(allow_private=True) as sending:
        loop = Dispatcher(writer.database, reader, sending, disable, clock)
        writer.on_enqueued = loop.wake
        task = asyncio.create_task(loop.run())
        try:
            yield disabled
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await reader.close()


async def states(url: str) -> dict[tuple[str, str], str]:
    """Return the state of each delivery, by subscription and alert."""
    rows = await deliveries(url)
    return {(row["subscription_id"], row["alert_id"]): row["state"] for row in rows}
