from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import sketch

values = st.lists(st.integers(0, 6 * 3_600_000) | st.just(0) | st.integers(0, 2), max_size=60)


@given(st.data(), values)
def test_its_bytes_tell_nothing_of_order_and_batches(
    data: st.DataObject, given_values: list[int]
) -> None:
    """Rows of two workers that saw the same are the same, to the byte."""
    shuffled = data.draw(st.permutations(given_values))
    cut = data.draw(st.integers(0, len(shuffled)))

    at_once = sketch.add(b"", given_values)

    assert at_once == sketch.add(sketch.add(b"", shuffled[:cut]), shuffled[cut:])


@given(st.lists(values, max_size=5))
def test_merging_equals_adding_all_at_once(parts: list[list[int]]) -> None:
    """However the values were spread over partitions and generations."""
    every = [value for part in parts for value in part]

    merged = sketch.merge([b"", *(sketch.add(b"", part) for part in parts)])

    assert sketch.add(b"", every) == merged


@given(values.filter(len), st.floats(0, 1))
def test_quantiles_are_within_one_per_cent(given_values: list[int], q: float) -> None:
    """Held against the value of that rank among all of them."""
    exact = sorted(given_values)[int(q * (len(given_values) - 1))]

    assert sketch.quantile(sketch.add(b"", given_values), q) == pytest.approx(exact, rel=0.01001)


@pytest.mark.parametrize("nothing", [b"", sketch.merge([]), sketch.add(b"", [])])
def test_a_sketch_of_nothing_has_no_quantiles(nothing: bytes) -> None:
    """There is no value to name."""
    assert sketch.quantile(nothing, 0.5) is None


@pytest.mark.parametrize(("leaves", "most"), [([1_000], 8), (range(0, 21_600_000, 1_999), 4_500)])
def test_a_sketch_is_small(leaves: Sequence[int], most: int) -> None:
    """A state and a row hold one for each page and hour."""
    assert len(sketch.add(b"", leaves)) <= most
