"""When the delivery loop polls, and contention with a sink, on both engines."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

import pytest
from sqlalchemy import Connection

from sinks.delivery import dispatcher, schedule
from sinks.delivery.dispatcher import Dispatcher
from sinks.delivery.sender import Sender
from sinks.sql.reader import open_reader
from sinks.sql.tables import EventRow
from sinks.sql.writer import Writer
from tests.contract.sinks import samples
from tests.contract.sinks.samples import TOPIC, event_at, expect_no_rejection
from tests.contract.sinks.subscribed import subscribe
from tests.fixtures.waiting import eventually_async
from tests.integration.sinks.loop import delivering_beside, raise_alerts, raise_by, states
from tests.integration.sinks.receivers import failing, good, receiving

#: Longer than the time limit of a test.
_NEVER = 3_600.0


@pytest.fixture
async def writer(database_url: str) -> AsyncIterator[Writer]:
    """Yield a sink's writer."""
    writer = await samples.open_for_test(database_url)
    yield writer
    await writer.close()


@asynccontextmanager
async def saturated(writer: Writer) -> AsyncIterator[None]:
    """Write batches of events to four partitions without pause."""
    events = [row for _, row in map(event_at, range(500))]

    async def fill(partition: int) -> None:
        await writer.assign(TOPIC, partition)
        for start in count(0, len(events)):
            rows = list(enumerate(events, start))
            end = start + len(events)
            await writer.write(TOPIC, partition, end, {EventRow: rows}, expect_no_rejection)

    filling = asyncio.gather(*(fill(partition) for partition in range(4)))
    try:
        yield
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)


async def test_deliveries_are_made_while_the_sink_is_saturated(
    database_url: str, writer: Writer
) -> None:
    """The loop's transactions are queued with the batches instead of competing for the lock."""
    async with receiving(good) as receiver:
        # Before the writer is saturated: this is a second process, which would wait for the write
        # lock for longer than `BUSY_TIMEOUT_SECONDS`.
        await subscribe(database_url, "mine", url=receiver.url)
        async with saturated(writer), delivering_beside(writer, database_url):
            alert_ids = await raise_by(writer, 0, 80)

            async def all_delivered() -> bool:
                return set((await states(database_url)).values()) == {"delivered"}

            await eventually_async(all_delivered, within_seconds=60, what="all deliveries succeed")

    assert sorted(receiver.alert_ids()) == sorted(alert_ids)


async def test_deliveries_of_this_process_are_sent_immediately(
    database_url: str, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They do not wait for the next poll."""
    monkeypatch.setattr(dispatcher, "_POLL_SECONDS", _NEVER)
    async with receiving(good) as receiver, delivering_beside(writer, database_url):
        await subscribe(database_url, "mine", url=receiver.url)
        (alert_id,) = await raise_by(writer, 0, 1)
        await eventually_async(lambda: receiver.messages, within_seconds=20, what="it is sent")

    assert receiver.alert_ids() == [alert_id]


async def test_the_loop_sleeps_until_the_next_due_time(
    database_url: str, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without being woken."""
    monkeypatch.setattr(dispatcher, "_POLL_SECONDS", _NEVER)
    monkeypatch.setattr(schedule, "DELAYS", (0, 0.5, 0.5))
    async with (
        receiving(failing(2, 500)) as receiver,
        delivering_beside(writer, database_url),
    ):
        await subscribe(database_url, "mine", url=receiver.url)
        await raise_by(writer, 0, 1)
        await eventually_async(
            lambda: len(receiver.messages) == 3, within_seconds=20, what="there are three attempts"
        )


async def test_deliveries_of_another_process_are_found(database_url: str, writer: Writer) -> None:
    """By polling."""
    async with receiving(good) as receiver, delivering_beside(writer, database_url):
        await subscribe(database_url, "mine", url=receiver.url)
        alert_ids = await raise_alerts(database_url, 0, 3)
        await eventually_async(
            lambda: len(receiver.messages) == 3, within_seconds=20, what="they are sent"
        )

    assert sorted(receiver.alert_ids()) == sorted(alert_ids)


class _Locked:
    """A database that must not be written to."""

    dialect = "sqlite"

    async def run(self, work: Callable[[Connection], object]) -> object:
        raise AssertionError(f"{work} was to be run in a transaction that writes")

    async def close(self) -> None:
        """Nothing to do."""


async def test_polling_takes_no_write_lock(database_url: str) -> None:
    """It uses the reader while nothing is due."""
    await subscribe(database_url, "mine", url="https://hooks.example/x")
    reader = open_reader(database_url)

    async def disable(_name: str, _reason: str) -> None:
        """Nothing to do."""

    async with Sender(allow_private=True) as sender:
        await Dispatcher(_Locked(), reader, sender, disable).poll()  # type: ignore[arg-type]
    await reader.close()
