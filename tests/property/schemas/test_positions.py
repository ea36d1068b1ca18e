"""Positions: one number that orders events across Kafka clusters."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.headers import Source
from schemas.positions import MAX_EPOCH, epoch_of, offset_of, position

places = st.tuples(st.integers(0, MAX_EPOCH), st.integers(0, (1 << 48) - 1))


@given(places, places)
def test_a_later_cluster_is_later_and_within_one_the_offset_decides(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    """However few events the later cluster has."""
    assert (position(*one) < position(*other)) == (one < other)


@given(places)
def test_a_position_says_its_epoch_and_offset_and_fits_the_header(place: tuple[int, int]) -> None:
    """The header's format is that of the first version."""
    at = position(*place)

    assert (epoch_of(at), offset_of(at)) == place
    assert Source.unpack(Source(3, at, 0).pack()).offset == at


@given(st.integers(0, (1 << 48) - 1))
def test_in_the_first_cluster_it_is_the_offset(offset: int) -> None:
    """States and headers of earlier versions mean what they meant."""
    assert position(0, offset) == offset
