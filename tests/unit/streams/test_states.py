from hypothesis import given
from hypothesis import strategies as st

from streams.domain.states import Deadlines

keys = st.sampled_from([b"a", b"b", b"c"])


def test_a_key_is_due_once_after_its_deadline() -> None:
    """Not at the deadline, and once; in whole seconds."""
    deadlines = Deadlines()
    deadlines.set(b"a", 1_999)

    assert deadlines.due(1_999, 10) == []
    assert deadlines.due(2_000, 10) == [b"a"]
    assert deadlines.due(3_000, 10) == []


@given(st.lists(st.tuples(keys, st.integers(0, 9_000)), max_size=20), st.integers(0, 12_000))
def test_a_key_is_due_within_a_second_of_its_first_deadline(
    calls: list[tuple[bytes, int]], now: int
) -> None:
    """Never early, and once, however often its deadline was set."""
    deadlines = Deadlines()
    for key, at in calls:
        deadlines.set(key, at)

    found = sorted(deadlines.due(now, 100))

    assert found == sorted({key for key, at in calls if at // 1_000 * 1_000 + 1_000 <= now})
    assert deadlines.due(now, 100) == []


def test_the_number_of_keys_due_at_once_is_limited() -> None:
    """The others are due the next time, the longest overdue first."""
    deadlines = Deadlines()
    for number in (3, 1, 2):
        deadlines.set(b"%d" % number, number * 1_000)

    assert deadlines.due(10_000, 2) == [b"1", b"2"]
    assert deadlines.due(10_000, 2) == [b"3"]
    assert deadlines.due(10_000, 2) == []


def test_the_first_key_can_be_removed_before_its_deadline() -> None:
    """With its deadline, so that the caller sees whether it changed."""
    deadlines = Deadlines()
    deadlines.set(b"later", 7_000)
    deadlines.set(b"first", 1_500)

    assert deadlines.first() == (2_000, b"first")
    assert deadlines.first() == (8_000, b"later")
    assert deadlines.first() is None


def test_stale_entries_are_removed_when_they_are_the_majority() -> None:
    """The first entry of each current key stays."""
    deadlines = Deadlines()
    for number in range(10_002):
        deadlines.set(b"living" if number % 2 else b"gone", number * 1_000)
    deadlines.drop_stale({b"living"}, states=1)
    assert len(deadlines) == 10_002

    deadlines.set(b"gone", 0)
    deadlines.drop_stale({b"living"}, states=1)
    assert len(deadlines) == 1
    assert deadlines.first() == (2_000, b"living")


def test_a_key_has_one_entry_however_often_its_deadline_is_set() -> None:
    """To the same or to different deadlines."""
    deadlines = Deadlines()
    for hour in range(1_000):
        now_ms = hour * 3_600_000
        for key in deadlines.due(now_ms, 100):
            deadlines.set(key, now_ms + 86_400_000)
        deadlines.set(b"a", now_ms + 86_400_000)

    assert len(deadlines) < 100
