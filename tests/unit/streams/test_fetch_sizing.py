from streams.engine.fetch_sizing import FetchSizing


class Fetches:
    """Fetches by a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sizing = FetchSizing(lambda: self.now)

    def bring(self, records: int, seconds: float, *, is_behind: bool = False) -> float:
        """Have a fetch bring records after so long, and return the pause before the next one."""
        self.now += seconds
        return self.sizing.delay_after(records, is_behind=is_behind)


def test_what_comes_seldom_is_read_at_once() -> None:
    """Also when nothing comes."""
    fetches = Fetches()

    assert [fetches.bring(records, 1) for records in (10, 0, 99)] == [0, 0, 0]


def test_where_much_comes_records_gather() -> None:
    """From a hundred a second, whether they come by one or by many."""
    by_few, by_many = Fetches(), Fetches()

    paused = [by_few.bring(6, 0.01) for _ in range(61)]

    assert paused[0] == 0
    assert paused[-1] == by_many.bring(2_000, 1) > 0


def test_a_backlog_is_read_without_a_pause() -> None:
    """There is nothing to wait for."""
    fetches = Fetches()

    assert fetches.bring(2_000, 1, is_behind=True) == 0
    assert fetches.bring(2_000, 0.1) > 0


def test_the_pauses_end_as_soon_as_less_comes() -> None:
    """The last of many records does not wait for long."""
    fetches = Fetches()
    fetches.bring(2_000, 1)

    paused = [fetches.bring(10, 0.15) for _ in range(6)]

    assert paused[0] > 0
    assert paused[-1] == 0
