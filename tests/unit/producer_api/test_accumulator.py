import asyncio

import pytest

from producer_api.events.rejection import Rejected
from producer_api.produce.accumulator import Accumulator
from schemas.reject_reasons import RejectReason
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.fixtures.waiting import eventually_async


def open_accumulator(fake: FakeKafka, deadline_seconds: float = 30) -> Accumulator:
    """Return an accumulator with four partitions and a limit of 10 KiB."""
    accumulator = Accumulator(
        "events", fake, deadline_seconds=deadline_seconds, max_waiting_bytes=10_240
    )
    fake.start(accumulator.open)
    return accumulator


async def send_blocked(accumulator: Accumulator, fake: FakeKafka) -> asyncio.Future[bool]:
    """Add a record whose batch stays in flight until `fake.responds` is set."""
    fake.responds.clear()
    first = accumulator.add(b"k", b"first", [])
    await eventually_async(
        lambda: fake.batches == 1, within_seconds=15, what="the batch is in flight"
    )
    return first


async def test_records_added_while_a_batch_is_in_flight_form_the_next_batch() -> None:
    """100 records make two batches; the last 99 share one future."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake)
    first = await send_blocked(accumulator, fake)

    rest = [accumulator.add(b"k", str(n).encode(), []) for n in range(99)]
    fake.responds.set()

    assert await asyncio.gather(first, *rest) == [True] * 100
    assert fake.batches == 2
    assert len(set(map(id, rest))) == 1
    assert [record.value for record in fake.stored] == [b"first", *(b"%d" % n for n in range(99))]


async def test_a_full_batch_is_followed_by_another() -> None:
    """All records are stored in order."""
    fake = FakeKafka(max_batch_bytes=200)
    accumulator = open_accumulator(fake)

    added = [accumulator.add(b"k", b"%03d" % n, []) for n in range(50)]

    assert all(await asyncio.gather(*added))
    assert [record.value for record in fake.stored] == [b"%03d" % n for n in range(50)]
    assert fake.batches == 8


async def test_the_first_record_of_a_batch_is_never_too_late() -> None:
    """It is sent, although the process was paused after the batch was created."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake, deadline_seconds=0)

    await accumulator.add(b"k", b"first", [])
    await accumulator.drain()

    assert [record.value for record in fake.stored] == [b"first"]


async def test_a_blocked_partition_does_not_block_the_others() -> None:
    """Each partition has its own queue."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake)
    await send_blocked(accumulator, fake)

    for n in range(100):
        accumulator.add(b"%d" % n, b"", [])

    await eventually_async(
        lambda: fake.batches == 4, within_seconds=15, what="all partitions are sending"
    )


async def test_cancelling_one_waiter_does_not_cancel_the_others() -> None:
    """The waiters of a batch share one future."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake)
    fake.responds.clear()

    async def wait() -> bool:
        confirmed = accumulator.add(b"k", b"", [])
        await asyncio.wait([confirmed])
        return confirmed.result()

    (one, other) = (asyncio.create_task(wait()), asyncio.create_task(wait()))
    await eventually_async(lambda: fake.batches, within_seconds=15, what="both are in flight")
    one.cancel()
    fake.responds.set()

    assert await other
    with pytest.raises(asyncio.CancelledError):
        await one


async def test_records_fail_at_the_deadline_and_the_queue_continues() -> None:
    """A batch that has expired in the queue is not sent."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake, deadline_seconds=0.1)
    first = await send_blocked(accumulator, fake)
    second = accumulator.add(b"k", b"second", [])

    assert [await first, await second] == [False, False]
    fake.responds.set()
    assert await accumulator.add(b"k", b"third", [])
    # The first batch was in flight, so it may be stored although it failed.
    assert [record.value for record in fake.stored] == [b"first", b"third"]


class Unreachable(FakeKafka):
    """A Kafka whose connection is lost until `is_connected` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.is_connected = asyncio.Event()

    async def ready(self) -> None:
        """Wait for the connection."""
        await self.is_connected.wait()


async def test_records_that_expire_while_kafka_is_unreachable_take_up_no_capacity() -> None:
    """Later ones are accepted, and sent when it is back."""
    fake = Unreachable()
    accumulator = open_accumulator(fake, deadline_seconds=0.1)

    for _ in range(3):
        assert not await accumulator.add(b"k", bytes(8_000), [])
        accumulator.check_capacity(10_240)
    later = accumulator.add(b"k", b"later", [])
    fake.is_connected.set()

    assert await later
    await accumulator.drain()
    assert [record.value for record in fake.stored] == [b"later"]
    assert accumulator.waiting_bytes == 0


async def test_a_failed_batch_does_not_fail_the_next() -> None:
    """The queue continues after a permanent error."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake)
    fake.fails = True
    failed = await accumulator.add(b"k", b"1", [])
    fake.fails = False

    assert not failed
    assert await accumulator.add(b"k", b"2", [])


async def test_a_batch_is_retried_until_its_partition_has_a_leader() -> None:
    """The order of records is kept."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake)
    fake.has_leader = False
    first = accumulator.add(b"k", b"1", [])
    await eventually_async(
        lambda: fake.batches == 2, within_seconds=15, what="the batch is retried"
    )
    second = accumulator.add(b"k", b"2", [])
    fake.has_leader = True

    assert [await first, await second] == [True, True]
    assert [record.value for record in fake.stored] == [b"1", b"2"]


async def test_retries_end_at_the_deadline() -> None:
    """The expired batch is dropped, and later ones are sent when there is a leader."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake, deadline_seconds=0.3)
    fake.has_leader = False

    assert not await accumulator.add(b"k", b"1", [])
    await accumulator.drain()
    assert accumulator.waiting_bytes == 0
    fake.has_leader = True
    assert await accumulator.add(b"k", b"2", [])
    assert [record.value for record in fake.stored] == [b"2"]


async def test_queued_bytes_are_limited() -> None:
    """A record over the limit is rejected at once; confirmed records no longer count."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake)
    first = await send_blocked(accumulator, fake)
    accumulator.check_capacity(5000)
    second = accumulator.add(b"k", bytes(8000), [])

    with pytest.raises(Rejected) as caught:
        accumulator.check_capacity(5000)

    assert caught.value.reason is RejectReason.OVERLOADED
    fake.responds.set()
    assert [await first, await second] == [True, True]
    await accumulator.drain()
    assert accumulator.waiting_bytes == 0


async def test_drain_waits_for_records_in_flight() -> None:
    """Without any, it returns at once."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake)
    await accumulator.drain()
    waiting = await send_blocked(accumulator, fake)
    draining = asyncio.create_task(accumulator.drain())
    fake.responds.set()

    await draining

    assert waiting.result()


async def test_keys_have_the_partitions_of_other_kafka_clients() -> None:
    """They are chosen by murmur2, as in Java's default partitioner."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake)

    await asyncio.gather(*(accumulator.add(key, b"", []) for key in (b"21", b"foobar", b"abc")))

    # The hashes of Kafka's UtilsTest.
    expected = {b"21": -973932308, b"foobar": -790332482, b"abc": 479470107}
    partitions = {record.key: record.partition for record in fake.stored}
    assert partitions == {key: (hash_ & 0x7FFFFFFF) % 4 for key, hash_ in expected.items()}
