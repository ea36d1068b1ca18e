"""Validation of numbers: 64 bits for pixels and milliseconds, exact decimals for amounts."""

import math
import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

import msgspec

from producer_api.events.rejection import Rejected, wrong_kind
from schemas.reject_reasons import RejectReason

_LIMIT = 2**63
_MILLIONTH = Decimal("0.000001")
#: 2^63 has 19 digits before the point.
_LARGEST_EXPONENT = 18
#: Decimal itself also accepts "NaN", "1_000" and non-ASCII digits.
_NUMERIC = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,6})?")

_AMOUNT = 'a number, or a text that holds just one, as in "12.50"'


class _Amount(msgspec.Struct):
    # `Raw`: of duplicate members the last counts, so the others may have any type.
    amount: msgspec.Raw


_EXACT_AMOUNT = msgspec.json.Decoder(_Amount)


def number(name: str, value: Any) -> float:
    """Return an int or float within 64 bits unchanged; raises `Rejected` for other values."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_kind(name, "a number", value)
    if not -_LIMIT <= value < _LIMIT:
        raise Rejected(RejectReason.NUMBER_OUT_OF_RANGE, name)
    return value


def round_half_up(name: str, value: Any) -> int:
    """Return the nearest integer, halves rounded up; raises `Rejected` as `number` does."""
    size = number(name, value)
    floor = math.floor(size)
    # Adding a half first would round 0.49999999999999994 up.
    return floor + (size - floor >= 0.5)  # noqa: PLR2004 - a half


def milliseconds(name: str, value: Any) -> int:
    """Return a duration in integer milliseconds; raises `Rejected` if it is negative."""
    if isinstance(value, int | float) and value < 0:
        raise Rejected(RejectReason.BAD_DURATION, name)
    return round_half_up(name, value)


def exact_amount(value: Any, event: bytes) -> tuple[Decimal, bool]:
    """Return the amount rounded half up to six decimals, and whether it had more.

    A float may have lost digits, so these are read again from the JSON of the event.
    """
    amount = _as_written(value, event)
    if amount and amount.adjusted() > _LARGEST_EXPONENT:
        raise Rejected(RejectReason.NUMBER_OUT_OF_RANGE, "amount")
    rounded = amount.quantize(_MILLIONTH, ROUND_HALF_UP)
    if abs(rounded) >= _LIMIT:
        raise Rejected(RejectReason.NUMBER_OUT_OF_RANGE, "amount")
    return rounded, rounded != amount


def _as_written(value: Any, event: bytes) -> Decimal:
    if isinstance(value, float):
        try:
            return Decimal(bytes(_EXACT_AMOUNT.decode(event).amount).decode())
        except InvalidOperation:  # the exponent is below Decimal's: effectively zero
            return Decimal(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if not isinstance(value, str):
        raise wrong_kind("amount", _AMOUNT, value)
    if not _NUMERIC.fullmatch(value):
        sentence = f"amount must be {_AMOUNT}"
        raise Rejected(RejectReason.WRONG_KIND, "amount", sentence=sentence)
    return Decimal(value)
