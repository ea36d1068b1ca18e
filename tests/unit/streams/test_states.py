from hypothesis import given
from hypothesis import strategies as st

from streams.domain.states import Deadlines

keys = st.sampled_from([b"a", b"b", b"c"])


def test_a_key_comes_up_once_time_has_passed_its_deadline() -> None:
    """Not at it, and not twice."""
    deadlines = Deadlines()
    deadlines.set(b"a", 10)

    assert deadlines.due(10, 10) == []
    assert deadlines.due(11, 10) == [b"a"]
    assert deadlines.due(12, 10) == []


@given(st.lists(st.tuples(keys, st.integers(0, 20)), max_size=20), st.integers(0, 25))
def test_a_key_comes_up_by_the_earliest_it_was_set_to(
    calls: list[tuple[bytes, int]], now: int
) -> None:
    """One that moved on may come up too early, which its user bears; none comes too late."""
    deadlines = Deadlines()
    for key, at in calls:
        deadlines.set(key, at)

    expected = {key for key, at in calls if at < now}
    found = deadlines.due(now, 10)

    assert expected == set(found)
    assert len(expected) == len(found)


def test_no_more_come_up_than_can_be_dealt_with_in_one_go() -> None:
    """The others come up the next time, the longest overdue first."""
    deadlines = Deadlines()
    for number in (3, 1, 2):
        deadlines.set(b"%d" % number, number)

    assert deadlines.due(10, 2) == [b"1", b"2"]
    assert deadlines.due(10, 2) == [b"3"]
    assert deadlines.due(10, 2) == []
