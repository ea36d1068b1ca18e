"""Amounts of money as text: exact, with the minor units of their currency (ISO 4217).

An amount is never rounded: one with more decimals than its currency has keeps them. Without a
currency, or with one that ISO 4217 does not list, two decimals are the least. Currencies without
a minor unit (`XAU`, `XXX`) get no decimals but those that were paid.
"""

from decimal import Decimal
from functools import lru_cache

from iso4217 import Currency

#: Decimals where the currency is not known: most currencies have as many.
_USUAL_DECIMALS = 2


def shown(amount: Decimal, currency: str | None) -> str:
    """Return an amount for people: `1,234.50 EUR`, `1,000 JPY`, `1.500 KWD`, `12.50`."""
    digits = f"{Decimal(plain(amount, currency)):,f}"
    return f"{digits} {currency}" if currency else digits


def plain(amount: Decimal, currency: str | None) -> str:
    """Return an amount for programs: the digits of `shown`, without separators and currency."""
    whole, _, decimals = f"{amount:f}".partition(".")
    decimals = decimals.rstrip("0").ljust(_decimals_of(currency), "0")
    text = f"{whole}.{decimals}" if decimals else whole
    return text if amount else text.removeprefix("-")


@lru_cache(maxsize=1_024)
def _decimals_of(currency: str | None) -> int:
    """Return how many decimals an amount in this currency has at least."""
    try:
        return Currency((currency or "").upper()).exponent or 0
    except ValueError:
        return _USUAL_DECIMALS
