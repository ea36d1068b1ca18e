"""The agent of live counters: where it begins, what it tells, and to which partition."""

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
    """A worker that counts, and tells when it is asked to."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.counting = Counting(lambda: self.seconds)
        self.owned = [0, 1]
        super().__init__(lambda worker: count_live.register(worker, self.counting))
        self.producer = self.noted  # type: ignore[assignment]

    def every(self, seconds: float, job: Job, *, due: Job | None = None) -> None:
        """Keep the job."""
        assert seconds == 0.25
        assert due is not None
        self.tell, self.until_due = job, due

    def partitions_of(self, topic: Topic) -> list[int]:
        """Return what the test says."""
        assert topic is EVENTS_SESSION
        return self.owned

    async def told(self, partition: int = 0) -> list[LiveCounters]:
        """Have the counters told, and return those that went to a partition."""
        sent = self.noted.sent[LIVE_COUNTERS.name, partition]
        sent.clear()
        await self.tell()
        counters = [decode(out.value or b"", LiveCounters) for out in sent]
        assert [out.key for out in sent] == [one.site_id.encode() for one in counters]
        return counters


async def test_nothing_is_told_before_the_worker_has_caught_up() -> None:
    """Half of the last half hour would be wrong numbers; the role is not ready meanwhile."""
    bench = LiveBench()
    assert bench.source is EVENTS_SESSION
    assert bench.counting.assign({0: OffsetRange(5, 7), 1: OffsetRange(3, 3)}) == {0: 5, 1: 3}
    await bench.run_batch(routed(5, event("a")))
    assert await bench.told() == []
    assert bench.not_ready is not None
    assert [check() for check in bench.checks] == ["live counters are catching up: 1 record to go"]

    await bench.run_batch(routed_tick(6, NOON_MS))
    (told,) = await bench.told()
    assert (told.site_id, told.partition, told.sessions) == ("shop", 0, 1)
    assert [check() for check in bench.checks] == [None]
    assert await bench.told() == []


def sample(at: float, routed: int, raw_end: int, end: int) -> Sample:
    """Return offsets of partition 0."""
    return Sample(at, {0: routed}, {0: raw_end}, {0: end})


async def test_counters_are_complete_up_to_what_had_been_accepted_before() -> None:
    """What is counted now is compared with the end of `events-raw` some time ago."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 0)})
    bench.counting.observe(sample(1, routed=0, raw_end=5, end=0))
    assert (bench.counting.ages_ms(), bench.counting.incomplete()) == (
        {},
        "live counters wait for events that are not routed yet (partitions 0)",
    )
    await bench.run_batch(*(routed(offset, event(offset)) for offset in range(5)))
    await bench.told()
    bench.counting.observe(sample(3, routed=0, raw_end=9, end=5))
    bench.seconds = 4.5
    assert (bench.counting.ages_ms(), bench.counting.incomplete()) == ({0: 3_500}, None)

    bench.counting.observe(sample(5, routed=5, raw_end=9, end=5))
    assert bench.counting.ages_ms() == {0: 3_500}


async def test_what_the_router_dropped_does_not_delay_completeness() -> None:
    """A duplicate is committed by the router, and never comes."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 0)})
    await bench.run_batch(routed(0, event("a")))
    await bench.told()
    bench.counting.observe(sample(1, routed=0, raw_end=2, end=1))
    bench.counting.observe(sample(3, routed=1, raw_end=2, end=1))
    assert bench.counting.ages_ms() == {}

    bench.counting.observe(sample(5, routed=2, raw_end=2, end=2))
    assert bench.counting.ages_ms() == {}  # a record that was routed is still to be read
    bench.counting.observe(sample(7, routed=2, raw_end=2, end=1))
    bench.seconds = 7
    assert bench.counting.ages_ms() == {0: 2_000}


async def test_counters_are_not_complete_before_they_have_caught_up_and_are_told() -> None:
    """Whatever was routed: a reader must have had them."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 2)})
    await bench.run_batch(routed(0, event("a")))
    for at in (1, 2):
        bench.counting.observe(sample(at, routed=1, raw_end=1, end=1))
    assert bench.counting.ages_ms() == {}

    await bench.run_batch(routed_tick(1, NOON_MS))
    bench.counting.observe(sample(3, routed=1, raw_end=2, end=2))
    assert bench.counting.ages_ms() == {}
    await bench.told()
    bench.counting.observe(sample(4, routed=1, raw_end=2, end=2))
    bench.seconds = 4
    assert bench.counting.ages_ms() == {0: 1_000}


def test_a_partition_that_is_empty_is_complete() -> None:
    """Nothing was ever accepted for it."""
    counting = Counting(lambda: 2)
    counting.assign({0: OffsetRange(0, 0)})
    for at in (1, 2):
        counting.observe(sample(at, routed=0, raw_end=0, end=0))

    assert counting.ages_ms() == {0: 1_000}


async def test_there_is_something_to_tell_when_something_was_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And then again and again, for what was counted decays; before that, never."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 0)})
    waiting = asyncio.ensure_future(bench.until_due())
    await asyncio.sleep(0)
    assert not waiting.done()

    await bench.run_batch(routed(0, event("a")))
    await asyncio.wait_for(waiting, 30)
    monkeypatch.setattr(count_live, "_DECAY_SECONDS", 3600)
    assert len(await bench.told()) == 1
    await asyncio.wait_for(bench.until_due(), 30)  # more than a hundred are told one after another
    assert await bench.told() == []
    monkeypatch.setattr(count_live, "_DECAY_SECONDS", 0)
    await asyncio.wait_for(bench.until_due(), 30)


async def test_counters_go_to_the_partition_that_they_are_of() -> None:
    """And only of partitions that this worker still has."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 0), 1: OffsetRange(0, 0)})
    await bench.run_batch(routed(0, event("a"), partition=1))
    bench.owned = [0]
    assert await bench.told(partition=1) == []

    bench.owned = [0, 1]
    (told,) = await bench.told(partition=1)
    assert (told.partition, told.minutes[0].events) == (1, 1)


async def test_a_partition_that_stays_goes_on_and_one_that_was_away_begins_anew() -> None:
    """What another worker counted meanwhile is not known here."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 0), 1: OffsetRange(0, 0)})
    await bench.run_batch(routed(0, event("a")))
    await bench.run_batch(routed(0, event("a"), partition=1))

    assert bench.counting.assign({0: OffsetRange(0, 1)}) == {0: 1}
    assert bench.counting.assign({0: OffsetRange(0, 1), 1: OffsetRange(0, 2)}) == {0: 1, 1: 0}
    assert len(await bench.told()) == 1
    assert await bench.told(partition=1) == []


async def test_a_topic_that_was_made_anew_is_read_from_its_beginning() -> None:
    """Its offsets say nothing of what was counted before."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 0)})
    await bench.run_batch(routed(7, event("a")))

    assert bench.counting.assign({0: OffsetRange(0, 2)}) == {0: 0}


async def test_poison_is_passed_over_for_sessionize_refuses_it() -> None:
    """It is read here again at each start; its neighbours count."""
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
    (told,) = await bench.told()
    assert told.minutes[0].events == 1


async def test_a_replay_is_no_news() -> None:
    """It was counted when it came first: sessionize alone is given it again."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 0)})
    replay = routed(2, event("a"))
    headers = (*replay.headers, (REPLAY_FOR, b"sessionize"))
    await bench.run_batch(routed(1, event("a")), replay._replace(headers=headers))

    (told,) = await bench.told()
    assert [one.events for one in told.minutes] == [1]


@pytest.mark.parametrize("turns", range(5))
async def test_an_end_right_after_a_count_is_heard(turns: int) -> None:
    """However many turns of the loop are in between; before Python 3.12 `wait_for` would not."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 0)})

    async def tell_for_ever() -> None:
        while True:
            await bench.until_due()

    await bench.run_batch(routed(0, event("a")))
    telling = asyncio.create_task(tell_for_ever())
    for _ in range(10):
        await asyncio.sleep(0)
    await bench.run_batch(routed(1, event("a")))
    for _ in range(turns):
        await asyncio.sleep(0)
    telling.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(telling, 10)
