"""Formatting of amounts of money."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.money import format_amount, format_decimal


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("1000.000000", "JPY", "1,000 JPY"),
        ("1.500000", "KWD", "1.500 KWD"),
        ("49.900000", "EUR", "49.90 EUR"),
        ("0.000100", "CLF", "0.0001 CLF"),
        ("1234567.5", "USD", "1,234,567.50 USD"),
        # More decimals than the currency has: what was paid.
        ("0.015", "EUR", "0.015 EUR"),
        ("1.5", "JPY", "1.5 JPY"),
        ("1.0005", "KWD", "1.0005 KWD"),
        ("0.000001", "EUR", "0.000001 EUR"),
        # Currencies that ISO 4217 does not list, has without a minor unit, or none.
        ("5", "BTC", "5.00 BTC"),
        ("0.123456", "BTC", "0.123456 BTC"),
        ("2.500000", "XAU", "2.5 XAU"),
        ("2", "XXX", "2 XXX"),
        ("12.5", None, "12.50"),
        ("12.5", "", "12.50"),
        # Refunds, nothing, and the largest amount.
        ("-5", "USD", "-5.00 USD"),
        ("-1234.5", "USD", "-1,234.50 USD"),
        ("-0.000000", "EUR", "0.00 EUR"),
        ("0", "JPY", "0 JPY"),
        ("1E+3", "EUR", "1,000.00 EUR"),
        ("9223372036854775807.999999", "EUR", "9,223,372,036,854,775,807.999999 EUR"),
        ("-9999999999999999999.999999", "JPY", "-9,999,999,999,999,999,999.999999 JPY"),
    ],
)
def test_an_amount_has_the_minor_units_of_its_currency(
    amount: str, currency: str | None, expected: str
) -> None:
    """And thousands are separated by commas."""
    assert format_amount(Decimal(amount), currency) == expected


@given(
    st.integers(-(10**25) + 1, 10**25 - 1).map(lambda units: Decimal(units).scaleb(-6)),
    st.sampled_from(["EUR", "JPY", "KWD", "CLF", "XAU", "BTC", "", None]),
)
def test_amounts_are_never_rounded(amount: Decimal, currency: str | None) -> None:
    """Both formats have the exact value."""
    digits = format_amount(amount, currency).partition(" ")[0]

    assert Decimal(format_decimal(amount, currency)) == amount
    assert digits.replace(",", "") == format_decimal(amount, currency)
