from streams.engine.fetch_sizing import FetchSizing


class Fetches:
    """Fetches with a clock that tests set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sizing = FetchSizing(lambda: self.now)

    def bring(self, records: int, seconds: float, *, is_behind: bool = False) -> float:
        """Let a fetch return records after some time; return the pause before the next fetch."""
        self.now += seconds
        return self.sizing.delay_after(records, is_behind=is_behind)


def test_rare_records_are_fetched_immediately() -> None:
    """Also while there are none."""
    fetches = Fetches()

    assert [fetches.bring(records, 1) for records in (10, 0, 99)] == [0, 0, 0]


def test_at_high_rates_fetches_wait_for_larger_batches() -> None:
    """From 100 records/s on, single or in batches."""
    by_few, by_many = Fetches(), Fetches()

    paused = [by_few.bring(6, 0.01) for _ in range(61)]

    assert paused[0] == 0
    assert paused[-1] == by_many.bring(2_000, 1) > 0


def test_a_backlog_is_fetched_without_a_pause() -> None:
    """All records are there already."""
    fetches = Fetches()

    assert fetches.bring(2_000, 1, is_behind=True) == 0
    assert fetches.bring(2_000, 0.1) > 0


def test_the_pauses_end_as_soon_as_the_rate_drops() -> None:
    """So the last of many records is processed soon."""
    fetches = Fetches()
    fetches.bring(2_000, 1)

    paused = [fetches.bring(10, 0.15) for _ in range(6)]

    assert paused[0] > 0
    assert paused[-1] == 0
