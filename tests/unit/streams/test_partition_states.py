"""The states of a partition: the offset that they have applied, and what is decoded."""

import pytest

from streams.engine.changelog_headers import tombstone_headers
from streams.engine.partition_states import PartitionStates
from tests.component.streams.bench import InRecord


def states() -> PartitionStates[str]:
    """Return the empty states of a partition."""
    return PartitionStates(lambda value: value.decode())


def tombstone(number: int, applied_until: int) -> InRecord:
    """Return a tombstone of the changelog."""
    headers = tuple(tombstone_headers(number, applied_until))
    return InRecord(number, b"key-%d" % number, None, headers)


def test_applied_until_is_unknown_at_first_and_never_decreases() -> None:
    """A batch that is replayed after a crash ends at a lower offset."""
    empty = states()
    assert empty.applied_until == -1

    empty.applied_until = 7
    empty.applied_until = 3
    assert empty.applied_until == 7


@pytest.mark.parametrize("offsets", [(3, 7), (7, 3)])
def test_restoration_takes_the_highest_offset_of_all_tombstones(offsets: tuple[int, int]) -> None:
    """In any order."""
    restored = states()
    restored.recover(tombstone(number, offset) for number, offset in enumerate(offsets))

    assert restored.applied_until == 7


def test_a_written_state_is_not_decoded_again() -> None:
    """By the next batch. One that was discarded, or of an earlier assignment, is decoded."""
    decoded: list[bytes] = []

    def decode(value: bytes) -> str:
        decoded.append(value)
        return value.decode()

    kept = PartitionStates(decode)
    kept.put(b"a", "one")
    kept.apply({b"a": b"one"}, 1, kept.take_staged())
    assert (kept.get(b"a"), decoded) == ("one", [])

    kept.put(b"a", "two")
    kept.take_staged()  # discarded
    assert (kept.get(b"a"), decoded) == ("one", [b"one"])

    kept.delete(b"a")
    kept.apply({b"a": None}, 2, kept.take_staged())
    assert kept.get(b"a") is None

    kept.put(b"a", "three")
    kept.apply({b"a": b"three"}, 3, kept.take_staged())
    kept.clear()
    assert kept.get(b"a") is None
