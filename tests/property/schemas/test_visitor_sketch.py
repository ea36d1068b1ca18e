import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.visitor_sketch import MAX_COUPONS, coupon_of, estimate, merge, pack

#: The number of visitors, and the seed of their names.
crowds = st.tuples(
    st.integers(0, 40) | st.integers(MAX_COUPONS - 2, MAX_COUPONS + 2) | st.integers(0, 12_000),
    st.integers(0, 3),
)
sketch_bytes = st.binary(max_size=80) | st.builds(
    lambda kind, rest: bytes([kind[0], 1, 7, 15, 5, 8, 3, kind[1]]) + rest,
    st.sampled_from([(2, 0), (3, 1), (10, 2)]),
    st.binary(max_size=80),
)


def _coupons(crowd: tuple[int, int]) -> set[int]:
    number, seed = crowd
    return {coupon_of(f"{seed}-{visitor}") for visitor in range(number)}


@given(st.lists(crowds, max_size=3), st.randoms(use_true_random=False))
def test_merging_equals_packing_all_at_once(
    parts: list[tuple[int, int]], order: random.Random
) -> None:
    """However the visitors are distributed, in any order, with duplicates."""
    coupons = [_coupons(part) for part in parts]
    sketches = [pack(part) for part in coupons]
    order.shuffle(sketches)

    every = pack(set().union(*coupons))

    assert estimate([merge(sketches)]) == estimate([every])
    assert estimate([merge([every, *sketches, *sketches])]) == estimate([every])


@given(crowds)
def test_the_error_of_an_estimate_is_bounded(crowd: tuple[int, int]) -> None:
    """Exact for few visitors; within four standard errors for many."""
    number = crowd[0]

    estimated = estimate([pack(_coupons(crowd))])

    assert estimated == pytest.approx(number, rel=0 if number < 1_000 else 0.025, abs=0.5)


@given(sketch_bytes)
def test_any_bytes_are_a_sketch_or_a_value_error(data: bytes) -> None:
    """No other error is raised."""
    try:
        assert estimate([data]) >= 0
    except ValueError as error:
        assert "visitor sketch" in str(error)  # noqa: PT017 - or it is read
