"""Numbers of things in sentences."""

import pytest

from schemas.counted import counted


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1_000, "1,000 rows"), (1_001, "1,001 rows")],
)
def test_only_one_is_singular(number: int, said: str) -> None:
    """Also not 1,001."""
    assert counted(number, "row") == said


def test_an_irregular_plural_is_given() -> None:
    """As `deliveries`."""
    assert counted(1, "delivery", "deliveries") == "1 delivery"
    assert counted(2, "delivery", "deliveries") == "2 deliveries"
