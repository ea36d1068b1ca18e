from hypothesis import given
from hypothesis import strategies as st

from streams.domain.states import Deadlines

keys = st.sampled_from([b"a", b"b", b"c"])


def test_a_key_comes_up_once_time_has_passed_its_deadline() -> None:
    """Not at it, and not twice; by whole seconds."""
    deadlines = Deadlines()
    deadlines.set(b"a", 1_999)

    assert deadlines.due(1_999, 10) == []
    assert deadlines.due(2_000, 10) == [b"a"]
    assert deadlines.due(3_000, 10) == []


@given(st.lists(st.tuples(keys, st.integers(0, 9_000)), max_size=20), st.integers(0, 12_000))
def test_a_key_comes_up_as_often_as_it_was_set_each_time_within_a_second(
    calls: list[tuple[bytes, int]], now: int
) -> None:
    """And never early."""
    deadlines = Deadlines()
    for key, at in calls:
        deadlines.set(key, at)

    found = sorted(deadlines.due(now, 100))

    assert found == sorted(key for key, at in calls if at // 1_000 * 1_000 + 1_000 <= now)
    assert deadlines.due(now, 100) == []


def test_no_more_come_up_than_can_be_dealt_with_in_one_go() -> None:
    """The others come up the next time, the longest overdue first."""
    deadlines = Deadlines()
    for number in (3, 1, 2):
        deadlines.set(b"%d" % number, number * 1_000)

    assert deadlines.due(10_000, 2) == [b"1", b"2"]
    assert deadlines.due(10_000, 2) == [b"3"]
    assert deadlines.due(10_000, 2) == []


def test_the_first_is_taken_out_before_its_time() -> None:
    """With when it would have come up, so that its user sees whether it moved on."""
    deadlines = Deadlines()
    deadlines.set(b"later", 7_000)
    deadlines.set(b"first", 1_500)

    assert deadlines.first() == (2_000, b"first")
    assert deadlines.first() == (8_000, b"later")
    assert deadlines.first() is None
