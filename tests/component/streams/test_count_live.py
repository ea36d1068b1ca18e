"""The agent of live counters: its start offsets, and what it publishes to which partition."""

import asyncio

import pytest

from schemas.codec import decode
from schemas.headers import REPLAY_FOR, SOURCE, TYPE
from schemas.records import LiveCounters
from schemas.topics import EVENTS_SESSION, LIVE_COUNTERS, Topic
from streams.agents import count_live
from streams.agents.count_live import Counting, Sample
from streams.engine.offset_range import OffsetRange
from streams.engine.worker import Job
from tests.component.streams.bench import Bench, routed, routed_tick
from tests.unit.streams.samples import NOON_MS, event


class LiveBench(Bench):
    """A worker that counts, and publishes when a test requests it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.counting = Counting(lambda: self.seconds)
        self.owned = [0, 1]
        super().__init__(lambda worker: count_live.register(worker, self.counting))
        self.producer = self.noted  # type: ignore[assignment]

    def every(self, seconds: float, job: Job, *, due: Job | None = None) -> None:
        """Store the job."""
        assert seconds == 0.25
        assert due is not None
        self.publish, self.until_due = job, due

    def partitions_of(self, topic: Topic) -> list[int]:
        """Return the value that the test set."""
        assert topic is EVENTS_SESSION
        return self.owned

    async def published(self, partition: int = 0) -> list[LiveCounters]:
        """Publish the counters, and return those sent to a partition."""
        sent = self.noted.sent[LIVE_COUNTERS.name, partition]
        sent.clear()
        await self.publish()
        counters = [decode(out.value or b"", LiveCounters) for out in sent]
        assert [out.key for out in sent] == [one.site_id.encode() for one in counters]
        return counters


async def test_nothing_is_published_before_the_worker_has_caught_up() -> None:
    """Counters of a part of the last half hour would be wrong. The role is not ready until then."""
    bench = LiveBench()
    assert bench.source is EVENTS_SESSION
    assert bench.counting.assign({0: OffsetRange(5, 7), 1: OffsetRange(3, 3)}) == {0: 5, 1: 3}
    await bench.run_batch(routed(5, event("a")))
    assert await bench.published() == []
    assert bench.not_ready is not None
    assert [check() for check in bench.checks] == ["live counters are catching up: 1 record to go"]

    await bench.run_batch(routed_tick(6, NOON_MS))
    (counters,) = await bench.published()
    assert (counters.site_id, counters.partition, counters.sessions) == ("shop", 0, 1)
    assert [check() for check in bench.checks] == [None]
    assert await bench.published() == []


def sample(at: float, routed: int, raw_end: int, end: int) -> Sample:
    """Return offsets of partition 0."""
    return Sample(at, {0: routed}, {0: raw_end}, {0: end})


async def test_counters_are_complete_up_to_an_earlier_end_of_the_log() -> None:
    """The counted offsets are compared with an earlier end offset of `events-raw`."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 0)})
    bench.counting.observe(sample(1, routed=0, raw_end=5, end=0))
    assert (bench.counting.ages_ms(), bench.counting.incomplete()) == (
        {},
        "live counters wait for events that are not routed yet (partitions 0)",
    )
    await bench.run_batch(*(routed(offset, event(offset)) for offset in range(5)))
    await bench.published()
    bench.counting.observe(sample(3, routed=0, raw_end=9, end=5))
    bench.seconds = 4.5
    assert (bench.counting.ages_ms(), bench.counting.incomplete()) == ({0: 3_500}, None)

    bench.counting.observe(sample(5, routed=5, raw_end=9, end=5))
    assert bench.counting.ages_ms() == {0: 3_500}


async def test_dropped_duplicates_do_not_delay_completeness() -> None:
    """The router commits a duplicate and does not forward it."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 0)})
    await bench.run_batch(routed(0, event("a")))
    await bench.published()
    bench.counting.observe(sample(1, routed=0, raw_end=2, end=1))
    bench.counting.observe(sample(3, routed=1, raw_end=2, end=1))
    assert bench.counting.ages_ms() == {}

    bench.counting.observe(sample(5, routed=2, raw_end=2, end=2))
    assert bench.counting.ages_ms() == {}  # a record that was routed is still to be read
    bench.counting.observe(sample(7, routed=2, raw_end=2, end=1))
    bench.seconds = 7
    assert bench.counting.ages_ms() == {0: 2_000}


async def test_counters_are_incomplete_until_they_have_been_published() -> None:
    """Also if all events were routed."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 2)})
    await bench.run_batch(routed(0, event("a")))
    for at in (1, 2):
        bench.counting.observe(sample(at, routed=1, raw_end=1, end=1))
    assert bench.counting.ages_ms() == {}

    await bench.run_batch(routed_tick(1, NOON_MS))
    bench.counting.observe(sample(3, routed=1, raw_end=2, end=2))
    assert bench.counting.ages_ms() == {}
    await bench.published()
    bench.counting.observe(sample(4, routed=1, raw_end=2, end=2))
    bench.seconds = 4
    assert bench.counting.ages_ms() == {0: 1_000}


def test_an_empty_partition_is_complete() -> None:
    """No event was ever accepted for it."""
    counting = Counting(lambda: 2)
    counting.assign({0: OffsetRange(0, 0)})
    for at in (1, 2):
        counting.observe(sample(at, routed=0, raw_end=0, end=0))

    assert counting.ages_ms() == {0: 1_000}


async def test_counters_are_due_after_an_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And again while they decay; never before the first event."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 0)})
    waiting = asyncio.ensure_future(bench.until_due())
    await asyncio.sleep(0)
    assert not waiting.done()

    await bench.run_batch(routed(0, event("a")))
    await asyncio.wait_for(waiting, 30)
    monkeypatch.setattr(count_live, "_DECAY_SECONDS", 3600)
    assert len(await bench.published()) == 1
    await asyncio.wait_for(bench.until_due(), 30)  # more than 100 are published in turns
    assert await bench.published() == []
    monkeypatch.setattr(count_live, "_DECAY_SECONDS", 0)
    await asyncio.wait_for(bench.until_due(), 30)


async def test_counters_are_sent_to_their_own_partition() -> None:
    """And only for partitions that are assigned to this worker."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 0), 1: OffsetRange(0, 0)})
    await bench.run_batch(routed(0, event("a"), partition=1))
    bench.owned = [0]
    assert await bench.published(partition=1) == []

    bench.owned = [0, 1]
    (counters,) = await bench.published(partition=1)
    assert (counters.partition, counters.minutes[0].events) == (1, 1)


async def test_a_reassigned_partition_is_counted_again() -> None:
    """Another worker may have counted events. A partition that stays continues."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 0), 1: OffsetRange(0, 0)})
    await bench.run_batch(routed(0, event("a")))
    await bench.run_batch(routed(0, event("a"), partition=1))

    assert bench.counting.assign({0: OffsetRange(0, 1)}) == {0: 1}
    assert bench.counting.assign({0: OffsetRange(0, 1), 1: OffsetRange(0, 2)}) == {0: 1, 1: 0}
    assert len(await bench.published()) == 1
    assert await bench.published(partition=1) == []


async def test_a_recreated_topic_is_read_from_the_beginning() -> None:
    """Its offsets have no relation to those counted before."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 0)})
    await bench.run_batch(routed(7, event("a")))

    assert bench.counting.assign({0: OffsetRange(0, 2)}) == {0: 0}


async def test_poison_is_skipped_because_sessionize_dead_letters_it() -> None:
    """Each start reads it again. Its neighbours are counted."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 4)})
    good = routed(0, event("a"))
    batch = await bench.run_batch(
        good._replace(headers=((TYPE, b"pageview"),)),
        good._replace(offset=1, headers=((SOURCE, b"short"),)),
        good._replace(offset=2, value=b"\x00garbage"),
        good._replace(offset=3),
    )

    assert (batch.dead_letters, batch.dead_letter_offsets) == ([], set())
    (counters,) = await bench.published()
    assert counters.minutes[0].events == 1


async def test_a_replayed_dead_letter_is_not_counted_again() -> None:
    """It was counted on arrival: only sessionize needs it again."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 0)})
    replay = routed(2, event("a"))
    headers = (*replay.headers, (REPLAY_FOR, b"sessionize"))
    await bench.run_batch(routed(1, event("a")), replay._replace(headers=headers))

    (counters,) = await bench.published()
    assert [one.events for one in counters.minutes] == [1]


@pytest.mark.parametrize("turns", range(5))
async def test_a_stop_right_after_a_count_is_not_lost(turns: int) -> None:
    """After any number of loop iterations; before Python 3.12, `wait_for` could lose it."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 0)})

    async def publish_for_ever() -> None:
        while True:
            await bench.until_due()

    await bench.run_batch(routed(0, event("a")))
    publishing = asyncio.create_task(publish_for_ever())
    for _ in range(10):
        await asyncio.sleep(0)
    await bench.run_batch(routed(1, event("a")))
    for _ in range(turns):
        await asyncio.sleep(0)
    publishing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(publishing, 10)
