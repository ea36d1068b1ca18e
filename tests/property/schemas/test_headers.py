import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.headers import Source, find

sources = st.builds(
    Source,
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**63), 2**63 - 1),
)


@given(sources)
def test_a_source_survives_its_header(src: Source) -> None:
    """Partition, offset and log time, in 20 bytes."""
    assert len(src.pack()) == 20
    assert Source.unpack(src.pack()) == src


@given(st.binary(max_size=40).filter(lambda value: len(value) != 20))
def test_a_header_of_another_length_is_no_source(value: bytes) -> None:
    """The sentence says how long it is, and should be."""
    with pytest.raises(ValueError, match=f"{len(value)} bytes, not 20"):
        Source.unpack(value)


def test_the_first_header_of_a_name_is_found() -> None:
    """Others of the name are hidden by it; a name that is not there is None."""
    headers = [("a", b"1"), ("b", b"2"), ("b", b"3")]

    assert find(headers, "b") == b"2"
    assert find(iter(headers), "a") == b"1"
    assert find(headers, "c") is None
    assert find((), "a") is None
