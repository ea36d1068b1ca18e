"""Positions, which order events across Kafka clusters."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.headers import Source
from schemas.positions import MAX_EPOCH, epoch_of, offset_of, position

pairs = st.tuples(st.integers(0, MAX_EPOCH), st.integers(0, (1 << 48) - 1))


@given(pairs, pairs)
def test_positions_are_ordered_by_epoch_and_offset(
    left: tuple[int, int], right: tuple[int, int]
) -> None:
    """Offsets of a later cluster may be lower."""
    assert (position(*left) < position(*right)) == (left < right)


@given(pairs)
def test_a_position_has_an_epoch_and_an_offset(pair: tuple[int, int]) -> None:
    """It fits the header `src`."""
    at = position(*pair)

    assert (epoch_of(at), offset_of(at)) == pair
    assert Source.unpack(Source(3, at, 0).pack()).offset == at


@given(st.integers(0, (1 << 48) - 1))
def test_positions_of_the_first_cluster_are_offsets(offset: int) -> None:
    """So states and headers of earlier versions are valid."""
    assert position(0, offset) == offset
