import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.headers import Source, by_name, find

sources = st.builds(
    Source,
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**63), 2**63 - 1),
)


@given(sources)
def test_unpacking_reverses_packing(src: Source) -> None:
    """The header has 20 bytes."""
    assert len(src.pack()) == 20
    assert Source.unpack(src.pack()) == src


@given(st.binary(max_size=40).filter(lambda value: len(value) != 20))
def test_a_header_of_another_length_is_rejected(value: bytes) -> None:
    """With the actual and the expected length."""
    with pytest.raises(ValueError, match=f"{len(value)} bytes, not 20"):
        Source.unpack(value)


def test_the_first_header_with_a_name_is_returned() -> None:
    """None if there is none."""
    headers = [("a", b"1"), ("b", b"2"), ("b", b"3")]

    assert find(headers, "b") == b"2"
    assert find(iter(headers), "a") == b"1"
    assert find(headers, "c") is None
    assert find((), "a") is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=2))))
def test_headers_by_name_are_those_that_are_found(headers: list[tuple[str, bytes]]) -> None:
    """The first one with each name."""
    named = by_name(headers)

    assert {name: find(headers, name) for name in "abc"} == {
        name: named.get(name) for name in "abc"
    }
