from hypothesis import given
from hypothesis import strategies as st

from streams.domain.routing.dedupe import Limits, SeenIds

KEYS = (b"shop:s-1", b"shop:s-2")
sent = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(KEYS)), max_size=30)
WIDE = Limits(keep=1_000, keep_ms=0, limit=1_000)


def passed(seen: SeenIds, log: list[tuple[int, bytes]], begin: int = 0) -> list[int]:
    """Return the offsets of records that are no duplicates, reading the log from `begin`."""
    return [
        offset
        for offset, (number, key) in enumerate(log)
        if offset >= begin and not seen.is_repeat(number.to_bytes(16), key, offset, offset)
    ]


@given(sent)
def test_an_id_passes_once_per_session(log: list[tuple[int, bytes]]) -> None:
    """At its lowest offset. The same id in another session is another event."""
    assert [log.index(one) for one in dict.fromkeys(log)] == passed(SeenIds(WIDE), log)


@given(sent, st.integers(0, 30))
def test_a_replay_passes_the_same_records(log: list[tuple[int, bytes]], begin: int) -> None:
    """After a crash, the same offsets pass and the same duplicates are dropped."""
    seen = SeenIds(WIDE)

    first = passed(seen, log)

    assert [offset for offset in first if offset >= begin] == passed(seen, log, begin)


@given(sent, st.integers(0, 5), st.integers(0, 10), st.integers(5, 8))
def test_the_number_of_remembered_ids_is_bounded(
    log: list[tuple[int, bytes]], keep: int, keep_ms: int, limit: int
) -> None:
    """At most `limit`; the ids of the last `keep_ms` and the last `keep` ids are remembered."""
    seen = SeenIds(Limits(keep, keep_ms, limit))

    for offset, (number, key) in enumerate(log):
        seen.is_repeat(number.to_bytes(16), key, offset, offset)

        assert len(seen) <= limit


def test_an_id_expires_when_it_is_both_old_and_not_among_the_last() -> None:
    """So the ids of a site with few events are remembered for longer."""
    seen = SeenIds(Limits(keep=2, keep_ms=1_000, limit=10))
    for offset, number in enumerate((b"a", b"b", b"c")):
        assert not seen.is_repeat(number, b"k:1", offset, 0)

    assert len(seen) == 3
    assert not seen.is_repeat(b"d", b"k:1", 3, 2_001)
    assert len(seen) == 2
    assert seen.is_repeat(b"c", b"k:1", 4, 2_001)
    assert not seen.is_repeat(b"a", b"k:1", 5, 2_001)


def test_a_lower_offset_than_the_remembered_one_passes() -> None:
    """The id of a later copy, restored from the output topic, does not drop an earlier one."""
    seen = SeenIds(WIDE)
    seen.is_repeat(b"a", b"k:1", 7, 0)

    assert not seen.is_repeat(b"a", b"k:1", 3, 0)
    assert seen.is_repeat(b"a", b"k:1", 7, 0)


def seen_at(limits: Limits, *log_ms: int) -> SeenIds:
    """Return the ids `b"0"`, `b"1"` and so on, one seen at each log time."""
    seen = SeenIds(limits)
    for number, at_ms in enumerate(log_ms):
        assert not seen.is_repeat(b"%d" % number, b"k:1", number, at_ms)
    return seen


def test_exactly_the_limit_of_ids_is_remembered() -> None:
    """One more evicts the oldest."""
    assert len(seen_at(Limits(0, 1_000_000, 3), 0, 0, 0)) == 3
    assert len(seen_at(Limits(0, 1_000_000, 3), 0, 0, 0, 0)) == 3


def test_an_id_is_kept_for_its_time_and_up_to_a_second_more() -> None:
    """Spans of log time expire, each with all of its ids."""
    limits = Limits(keep=0, keep_ms=10_000, limit=100)

    assert len(seen_at(limits, 0, 11_000)) == 2
    assert len(seen_at(limits, 0, 11_001)) == 1
    assert len(seen_at(limits, 0, 500, 1_000, 11_001)) == 1
    assert len(seen_at(limits, 0, 500, 1_001, 11_001)) == 2
    assert len(seen_at(limits, 0, 1_001, 2_002, 12_001)) == 3


def test_evicted_ids_leave_the_others_their_time() -> None:
    """An eviction takes one id out of a span, and the span ends with its last id."""
    limits = Limits(keep=0, keep_ms=10_000, limit=3)

    assert len(seen_at(limits, 0, 0, 0, 5_000)) == 3
    assert len(seen_at(limits, 0, 0, 0, 5_000, 11_001)) == 2
    assert len(seen_at(limits, 0, 0, 0, 5_000, 5_000, 5_000, 11_001, 16_001)) == 2
