from collections.abc import Sequence
from fractions import Fraction
from math import ceil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import sketch

values = st.lists(st.integers(0, 6 * 3_600_000) | st.just(0) | st.integers(0, 2), max_size=60)


@given(st.data(), values)
def test_the_encoding_does_not_depend_on_order_and_batches(
    data: st.DataObject, given_values: list[int]
) -> None:
    """Two workers that process the same values write the same bytes."""
    shuffled = data.draw(st.permutations(given_values))
    cut = data.draw(st.integers(0, len(shuffled)))

    at_once = sketch.add(b"", given_values)

    assert at_once == sketch.add(sketch.add(b"", shuffled[:cut]), shuffled[cut:])


@given(st.lists(values, max_size=5))
def test_merging_equals_adding_all_at_once(parts: list[list[int]]) -> None:
    """However the values are distributed over partitions and generations."""
    every = [value for part in parts for value in part]

    merged = sketch.merge([b"", *(sketch.add(b"", part) for part in parts)])

    assert sketch.add(b"", every) == merged


@given(values.filter(len), st.floats(0, 1))
def test_quantiles_are_within_one_per_cent(given_values: list[int], q: float) -> None:
    """Of the exact value at the nearest rank."""
    rank = max(1, ceil(Fraction(str(q)) * len(given_values)))
    exact = sorted(given_values)[rank - 1]

    assert sketch.quantile(sketch.add(b"", given_values), q) == pytest.approx(exact, rel=0.01001)


@pytest.mark.parametrize("empty", [b"", sketch.merge([]), sketch.add(b"", [])])
def test_an_empty_sketch_has_no_quantiles(empty: bytes) -> None:
    """They are None."""
    assert sketch.quantile(empty, 0.5) is None


@pytest.mark.parametrize(("leaves", "limit"), [([1_000], 8), (range(0, 21_600_000, 1_999), 4_500)])
def test_a_sketch_is_small(leaves: Sequence[int], limit: int) -> None:
    """There is one in the state and the row of each page and hour."""
    assert len(sketch.add(b"", leaves)) <= limit


_parts = st.lists(values.filter(len), min_size=1, max_size=5)


@given(_parts, st.sampled_from([0.0, 0.5, 0.9, 1.0]))
def test_quantiles_are_between_the_minimum_and_the_maximum(
    parts: list[list[int]], q: float
) -> None:
    """Of one sketch, and of merged ones."""
    measured = [value for part in parts for value in part]
    minimum, maximum = min(measured), max(measured)

    for made in (sketch.merge(sketch.add(b"", part) for part in parts), sketch.add(b"", measured)):
        value = sketch.quantile_within(made, q, minimum, maximum)

        assert value is not None
        assert minimum <= value <= maximum


@pytest.mark.parametrize(
    ("measured", "p50", "p90"),
    [
        ([7], 7, 7),
        ([0], 0, 0),
        ([100, 900], 100, 900),
        ([0, 5], 0, 5),
        ([49_999] * 10, 49_999, 49_999),
    ],
)
def test_quantiles_of_few_values_are_exact(measured: list[int], p50: int, p90: int) -> None:
    """They are not interpolated."""
    made, ends = sketch.add(b"", measured), (min(measured), max(measured))

    assert sketch.quantile_within(made, 0.5, *ends) == p50
    assert sketch.quantile_within(made, 0.9, *ends) == p90


def test_the_rank_of_ninety_per_cent_is_not_one_too_high() -> None:
    """The float 0.9 is more than nine tenths."""
    made = sketch.add(b"", [1] * 63 + [1_000] * 7)

    assert sketch.quantile(made, 0.9) == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 0), (2, 35), (999, 346), (1_000, 346), (1_001, 346), (49_999, 541), (21_600_000, 845)],
)
def test_bins_are_compatible_with_stored_rows(value: int, expected: int) -> None:
    """Those were computed with the package `ddsketch`."""
    assert sketch.add(b"", [value]) == msgspec.msgpack.encode([expected, 1])
