import asyncio

import pytest

from streams.engine.fetch_sizing import FetchDelay, FetchRate


class Fetches:
    """Fetches with a clock that tests set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rate = FetchRate(lambda: self.now)

    def bring(self, records: int, seconds: float) -> float:
        """Let a fetch return records after some time; return the delay of the next one (s)."""
        self.now += seconds
        return self.rate.add(records)


class Calls:
    """A delay, and the calls of `pause` and `resume`."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.delay = FetchDelay(
            lambda: self.names.append("pause"), lambda: self.names.append("resume")
        )


def test_rare_records_are_fetched_immediately() -> None:
    """Also while there are none."""
    fetches = Fetches()

    assert not any(fetches.bring(records, 1) for records in (10, 0, 49))


def test_at_high_rates_fetches_are_delayed() -> None:
    """From 50 records/s on, single or in batches."""
    by_few, by_many = Fetches(), Fetches()

    delayed = [by_few.bring(6, 0.01) for _ in range(61)]

    assert not delayed[0]
    assert delayed[-1]
    assert by_many.bring(2_000, 1)


def test_delays_end_as_soon_as_the_rate_drops() -> None:
    """So the last of many records is processed soon."""
    fetches = Fetches()
    fetches.bring(2_000, 1)

    delayed = [fetches.bring(5, 0.15) for _ in range(6)]

    assert delayed[0]
    assert not delayed[-1]


@pytest.mark.parametrize(("rate", "seconds"), [(60, 0.4), (800, 0.25), (5_000, 0.2)])
def test_delays_are_shorter_at_higher_rates(rate: int, seconds: float) -> None:
    """Within limits: 200 records accumulate sooner."""
    assert Fetches().bring(rate, 1) == pytest.approx(seconds)


async def test_a_delay_suspends_the_fetches_of_all_topics_once() -> None:
    """However many topics begin it."""
    calls = Calls()

    calls.delay.begin(0.0)
    calls.delay.begin(0.0)
    await calls.delay.wait()

    assert calls.names == ["pause", "resume"]


async def test_readers_take_the_records_of_a_fetch_before_their_partitions_are_paused() -> None:
    """The consumer drops records of paused partitions."""
    calls = Calls()
    other = asyncio.get_running_loop().create_task(_note(calls.names, "other reader"))

    calls.delay.begin(1.0)
    await other
    await asyncio.sleep(0)

    assert calls.names == ["other reader", "pause"]
    calls.delay.cancel()


async def test_the_end_of_an_assignment_cancels_a_delay() -> None:
    """Readers go on, and partitions stay as they are."""
    calls = Calls()

    calls.delay.begin(1.0)
    calls.delay.cancel()
    await calls.delay.wait()

    assert calls.names == []


async def _note(names: list[str], name: str) -> None:
    names.append(name)
