"""Formatting of amounts of money, with the minor units of their currency (ISO 4217).

Amounts are never rounded: decimals beyond the minor unit are kept. Without a currency, or
with one that ISO 4217 does not list, the minimum is two decimals. Currencies without a minor unit
(`XAU`, `XXX`) have no minimum.
"""

from decimal import Decimal
from functools import lru_cache

from iso4217 import Currency

#: Decimals of unknown currencies.
_DEFAULT_DECIMALS = 2


def format_amount(amount: Decimal, currency: str | None) -> str:
    """Return an amount with separators and currency: `1,234.50 EUR`, `1,000 JPY`, `12.50`."""
    digits = f"{Decimal(format_decimal(amount, currency)):,f}"
    return f"{digits} {currency}" if currency else digits


def format_decimal(amount: Decimal, currency: str | None) -> str:
    """Return an amount without separators and currency: `1234.50`."""
    whole, _, decimals = f"{amount:f}".partition(".")
    decimals = decimals.rstrip("0").ljust(_decimals_of(currency), "0")
    text = f"{whole}.{decimals}" if decimals else whole
    return text if amount else text.removeprefix("-")


@lru_cache(maxsize=1_024)
def _decimals_of(currency: str | None) -> int:
    """Return the minimum number of decimals of a currency."""
    try:
        return Currency((currency or "").upper()).exponent or 0
    except ValueError:
        return _DEFAULT_DECIMALS
