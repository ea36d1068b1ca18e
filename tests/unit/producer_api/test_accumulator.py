import asyncio

import pytest

from producer_api.accumulator import Accumulator
from producer_api.rejected import Rejected
from schemas.reject_reasons import RejectReason
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.fixtures.waiting import eventually_async


def open_accumulator(fake: FakeKafka, deadline_seconds: float = 30) -> Accumulator:
    """Return an accumulator of four partitions and 10 KiB."""
    accumulator = Accumulator(
        "events", fake, deadline_seconds=deadline_seconds, max_waiting_bytes=10_240
    )
    fake.start(accumulator.open)
    return accumulator


async def held_up(accumulator: Accumulator, fake: FakeKafka) -> asyncio.Future[bool]:
    """Send a first record and hold it up on its way."""
    fake.lets_pass.clear()
    first = accumulator.add(b"k", b"first", [])
    await eventually_async(lambda: fake.batches == 1, within_seconds=15, what="it is on its way")
    return first


async def test_what_comes_while_a_batch_is_on_its_way_is_the_next_one() -> None:
    """Driven by acks: a hundred records, two batches, and one future for the ninety-nine."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake)
    first = await held_up(accumulator, fake)

    rest = [accumulator.add(b"k", str(n).encode(), []) for n in range(99)]
    fake.lets_pass.set()

    assert await asyncio.gather(first, *rest) == [True] * 100
    assert fake.batches == 2
    assert len(set(map(id, rest))) == 1
    assert [record.value for record in fake.stored] == [b"first", *(b"%d" % n for n in range(99))]


async def test_a_full_batch_is_followed_by_another_one() -> None:
    """In order, and none is lost."""
    fake = FakeKafka(max_batch_bytes=200)
    accumulator = open_accumulator(fake)

    added = [accumulator.add(b"k", b"%03d" % n, []) for n in range(50)]

    assert all(await asyncio.gather(*added))
    assert [record.value for record in fake.stored] == [b"%03d" % n for n in range(50)]
    assert fake.batches == 8


async def test_a_partition_that_is_held_up_holds_up_no_other() -> None:
    """Each has its own lane."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake)
    await held_up(accumulator, fake)

    for n in range(100):
        accumulator.add(b"%d" % n, b"", [])

    await eventually_async(
        lambda: fake.batches == 4, within_seconds=15, what="all partitions are sending"
    )


async def test_cancelling_one_waiter_leaves_its_neighbours_alone() -> None:
    """They share a future, and wait for it without owning it."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake)
    fake.lets_pass.clear()

    async def wait() -> bool:
        confirmed = accumulator.add(b"k", b"", [])
        await asyncio.wait([confirmed])
        return confirmed.result()

    (one, other) = (asyncio.create_task(wait()), asyncio.create_task(wait()))
    await eventually_async(lambda: fake.batches, within_seconds=15, what="both are on their way")
    one.cancel()
    fake.lets_pass.set()

    assert await other
    with pytest.raises(asyncio.CancelledError):
        await one


async def test_waiters_are_told_no_at_the_deadline_and_the_lane_goes_on() -> None:
    """What waited too long is not sent at all."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake, deadline_seconds=0.1)
    first = await held_up(accumulator, fake)
    second = accumulator.add(b"k", b"second", [])

    assert [await first, await second] == [False, False]
    fake.lets_pass.set()
    assert await accumulator.add(b"k", b"third", [])
    # The first one's way had begun: a failure never means that nothing is stored.
    assert [record.value for record in fake.stored] == [b"first", b"third"]


async def test_a_failed_batch_fails_alone() -> None:
    """The next one is sent as if nothing had been."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake)
    fake.fails = True
    failed = await accumulator.add(b"k", b"1", [])
    fake.fails = False

    assert not failed
    assert await accumulator.add(b"k", b"2", [])


async def test_a_batch_without_a_leader_is_sent_again_until_it_has_one() -> None:
    """Whoever waits is not told of it, and what came later does not overtake."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake)
    fake.has_leader = False
    first = accumulator.add(b"k", b"1", [])
    await eventually_async(lambda: fake.batches == 2, within_seconds=15, what="it is sent again")
    second = accumulator.add(b"k", b"2", [])
    fake.has_leader = True

    assert [await first, await second] == [True, True]
    assert [record.value for record in fake.stored] == [b"1", b"2"]


async def test_a_batch_without_a_leader_is_given_up_at_its_deadline() -> None:
    """Nothing is sent for nobody; the lane is of use again when there is a leader."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake, deadline_seconds=0.3)
    fake.has_leader = False

    assert not await accumulator.add(b"k", b"1", [])
    await accumulator.drain()
    assert accumulator.waiting_bytes == 0
    fake.has_leader = True
    assert await accumulator.add(b"k", b"2", [])
    assert [record.value for record in fake.stored] == [b"2"]


async def test_waiting_bytes_are_bounded_and_given_back() -> None:
    """Over the limit is refused at once."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake)
    first = await held_up(accumulator, fake)
    accumulator.check_capacity(5000)
    second = accumulator.add(b"k", bytes(8000), [])

    with pytest.raises(Rejected) as caught:
        accumulator.check_capacity(5000)

    assert caught.value.reason is RejectReason.OVERLOADED
    fake.lets_pass.set()
    assert [await first, await second] == [True, True]
    await accumulator.drain()
    assert accumulator.waiting_bytes == 0


async def test_draining_waits_for_what_is_on_its_way() -> None:
    """And for nothing when nothing is."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake)
    await accumulator.drain()
    waiting = await held_up(accumulator, fake)
    draining = asyncio.create_task(accumulator.drain())
    fake.lets_pass.set()

    await draining

    assert waiting.result()


async def test_keys_go_where_every_kafka_client_sends_them() -> None:
    """By murmur2, as Java's default partitioner does."""
    fake = FakeKafka()
    accumulator = open_accumulator(fake)

    await asyncio.gather(*(accumulator.add(key, b"", []) for key in (b"21", b"foobar", b"abc")))

    # The hashes are those of Kafka's own UtilsTest, positive and modulo 4.
    expected = {b"21": -973932308, b"foobar": -790332482, b"abc": 479470107}
    placed = {record.key: record.partition for record in fake.stored}
    assert placed == {key: (hash_ & 0x7FFFFFFF) % 4 for key, hash_ in expected.items()}
