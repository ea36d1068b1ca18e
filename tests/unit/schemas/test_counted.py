"""Numbers with nouns."""

import pytest

from schemas.plurals import counted


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1_000, "1,000 rows"), (1_001, "1,001 rows")],
)
def test_only_one_is_singular(number: int, expected: str) -> None:
    """0 and 1,001 are plural."""
    assert counted(number, "row") == expected


def test_an_irregular_plural_is_an_argument() -> None:
    """Such as `deliveries`."""
    assert counted(1, "delivery", "deliveries") == "1 delivery"
    assert counted(2, "delivery", "deliveries") == "2 deliveries"
