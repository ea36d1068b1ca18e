"""Parameters of alert rules."""

from decimal import Decimal
from typing import Any

import pytest

from schemas.alert_rules import (
    BadParamsError,
    ErrorNewParams,
    ErrorRateParams,
    PaymentParams,
    non_defaults,
    read_params,
)


def test_parameters_are_stored_without_defaults() -> None:
    """So equal parameters have one representation."""
    payment = read_params("payment", {"min_amount": 99.5, "currency": "eur"})
    rate = read_params("error.rate", {"count": 10, "minutes": 60, "per": "fingerprint"})

    assert payment == PaymentParams(min_amount=Decimal("99.5"), currency="EUR")
    assert non_defaults(payment) == {"min_amount": 99.5, "currency": "EUR"}
    assert rate == ErrorRateParams(count=10, minutes=60)
    assert non_defaults(rate) == {"minutes": 60}
    assert non_defaults(read_params("error.rate", {"count": 10, "minutes": 5})) == {}
    assert read_params("error.new", {}) == ErrorNewParams()
    assert read_params("payment", {"min_amount": None}) == PaymentParams()
    assert non_defaults(read_params("payment", {"trust": "key"})) == {"trust": "key"}
    assert non_defaults(read_params("payment", {"trust": None})) == {}


@pytest.mark.parametrize(
    ("rule", "params", "field"),
    [
        ("payments", {}, "rule"),
        ("payment", [], "params"),
        ("payment", {"count": 1}, "params"),
        ("error.new", {"count": 1}, "params"),
        ("payment", {"min_amount": -1}, "params.min_amount"),
        ("payment", {"min_amount": True}, "params.min_amount"),
        ("payment", {"min_amount": "5"}, "params.min_amount"),
        ("payment", {"min_amount": float("nan")}, "params.min_amount"),
        ("payment", {"min_amount": 10**16}, "params.min_amount"),
        ("payment", {"currency": "EURO"}, "params.currency"),
        ("payment", {"currency": "ÄÖÜ"}, "params.currency"),
        ("payment", {"currency": 5}, "params.currency"),
        ("payment", {"trust": "origin"}, "params.trust"),
        ("payment", {"trust": True}, "params.trust"),
        ("error.new", {"trust": "key"}, "params"),
        ("error.rate", {"count": 0}, "params.count"),
        ("error.rate", {"count": 2.5}, "params.count"),
        ("error.rate", {"minutes": 1441}, "params.minutes"),
        ("error.rate", {"per": "page"}, "params.per"),
        ("error.rate", {"per": ["site"]}, "params.per"),
    ],
)
def test_an_invalid_parameter_is_reported(rule: str, params: Any, field: str) -> None:
    """With its name and what is valid."""
    with pytest.raises(BadParamsError) as caught:
        read_params(rule, params)

    assert caught.value.field == field
    assert str(caught.value)
