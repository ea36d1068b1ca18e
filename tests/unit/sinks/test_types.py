"""Times as SQLite stores them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.sql.conversion import iso_utc
from sinks.sql.types import EARLIEST_MICROS, LATEST_MICROS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_micros = st.integers(EARLIEST_MICROS, LATEST_MICROS)


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (1_775_044_800_000_001, "2026-04-01T12:00:00.000001Z"),
        (EARLIEST_MICROS, "0001-01-01T00:00:00.000000Z"),
        (LATEST_MICROS, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_time_is_formatted_as_iso_8601(micros: int, text: str) -> None:
    """Always with six decimals and a Z."""
    assert iso_utc(micros) == text


@given(_micros)
def test_the_text_of_a_time_is_exact(micros: int) -> None:
    """Parsing returns the same microsecond."""
    assert datetime.fromisoformat(iso_utc(micros)) == _EPOCH + timedelta(microseconds=micros)


@given(_micros, _micros)
def test_the_text_of_times_sorts_chronologically(one: int, other: int) -> None:
    """For indexes and comparisons."""
    assert (iso_utc(one) < iso_utc(other)) == (one < other)
