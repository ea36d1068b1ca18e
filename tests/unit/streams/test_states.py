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
def test_a_key_comes_up_within_a_second_of_the_first_time_that_it_was_set_to(
    calls: list[tuple[bytes, int]], now: int
) -> None:
    """Never early, and once however often it was set."""
    deadlines = Deadlines()
    for key, at in calls:
        deadlines.set(key, at)

    found = sorted(deadlines.due(now, 100))

    assert found == sorted({key for key, at in calls if at // 1_000 * 1_000 + 1_000 <= now})
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


def test_what_is_stale_is_thrown_out_when_it_is_most() -> None:
    """Of each key that lives its first entry stays; before that nothing is looked at."""
    deadlines = Deadlines()
    for number in range(10_002):
        deadlines.set(b"living" if number % 2 else b"gone", number * 1_000)
    deadlines.drop_stale({b"living"}, states=1)
    assert len(deadlines) == 10_002

    deadlines.set(b"gone", 0)
    deadlines.drop_stale({b"living"}, states=1)
    assert len(deadlines) == 1
    assert deadlines.first() == (2_000, b"living")


def test_a_key_that_is_set_anew_each_time_it_comes_up_is_held_once() -> None:
    """However often it was set in between: to one time, or to many."""
    deadlines = Deadlines()
    for hour in range(1_000):
        now_ms = hour * 3_600_000
        for key in deadlines.due(now_ms, 100):
            deadlines.set(key, now_ms + 86_400_000)
        deadlines.set(b"a", now_ms + 86_400_000)

    assert len(deadlines) < 100
