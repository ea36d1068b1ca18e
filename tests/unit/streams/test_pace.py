from streams.engine.faust_app import faust_app
from streams.engine.pace import Hold, Pace


class Fetches:
    """Fetches by a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pace = Pace(lambda: self.now)

    def bring(self, records: int, seconds: float, *, busy: bool = False) -> Hold:
        """Have a fetch bring records after so long, and return how the next one is held."""
        self.now += seconds
        return self.pace.after(records, busy=busy)


def test_what_comes_seldom_is_brought_at_once() -> None:
    """And while nothing comes the broker is asked every 3 s."""
    fetches = Fetches()

    assert fetches.bring(10, 1) == Hold(1, 100)
    assert fetches.bring(0, 1) == Hold(1, 3_000)
    assert fetches.bring(0, 1, busy=True) == Hold(1, 100)


def test_it_is_at_rest_while_nothing_comes_and_nothing_waits() -> None:
    """Not when something has just come, or much comes."""
    fetches = Fetches()

    assert fetches.bring(0, 1).is_at_rest
    assert not fetches.bring(1, 0.1).is_at_rest
    assert not fetches.bring(0, 0.1, busy=True).is_at_rest
    assert not fetches.bring(2_000, 1).is_at_rest


def test_where_much_comes_the_broker_gathers() -> None:
    """From five hundred records a second, whether they come by one or by many."""
    by_few, by_many = Fetches(), Fetches()

    held = [by_few.bring(6, 0.01) for _ in range(61)]

    assert held[0] == Hold(1, 100)
    assert held[-1] == by_many.bring(2_000, 1)
    assert (held[-1].min_bytes > 1, held[-1].max_wait_ms) == (True, 150)


def test_it_gathers_also_beside_a_partition_that_waits_to_be_taken() -> None:
    """Then what came so far is asked for every 20 ms, while the broker still holds the fetch."""
    fetches = Fetches()
    fetches.bring(2_000, 1)

    held = [fetches.bring(300 if poll % 8 == 7 else 0, 0.02, busy=True) for poll in range(200)]

    assert {hold.max_wait_ms for hold in held} == {150}


def test_it_stops_gathering_as_soon_as_less_comes() -> None:
    """The last of many records is not held for long."""
    fetches = Fetches()
    fetches.bring(2_000, 1)

    held = [fetches.bring(10, 0.15) for _ in range(6)]

    assert (held[0].max_wait_ms, held[-1]) == (150, Hold(1, 100))
    assert fetches.bring(0, 1) == Hold(1, 3_000)


def test_a_partition_may_give_as_much_in_a_fetch_as_is_gathered() -> None:
    """Else a backlog in one partition alone would come in pieces, each held for long."""
    conf = faust_app("bench", "127.0.0.1:1", None).conf

    assert Fetches().bring(2_000, 1).min_bytes <= conf.consumer_max_fetch_size
