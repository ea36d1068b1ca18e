"""The alert rules and their parameters: what a subscription may ask for.

One function reads parameters, for those who take a subscription and those who evaluate it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from typing import Any, Literal, get_args

PAYMENT = "payment"
ERROR_NEW = "error.new"
ERROR_RATE = "error.rate"
RULES = (PAYMENT, ERROR_NEW, ERROR_RATE)

Per = Literal["fingerprint", "site"]

#: What holds for every site: so many errors of one fingerprint in so many minutes.
RATE_COUNT = 10
RATE_MINUTES = 5

MAX_RATE_COUNT = 1_000_000
MAX_RATE_MINUTES = 24 * 60
MAX_AMOUNT = 10**15

_CURRENCY_LETTERS = 3


@dataclass(frozen=True, slots=True)
class PaymentParams:
    """Payments of at least an amount, in one currency; None: of any."""

    min_amount: Decimal | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorNewParams:
    """New errors: there is nothing to choose."""


@dataclass(frozen=True, slots=True)
class ErrorRateParams:
    """So many errors in so many minutes, of one fingerprint or of the whole site."""

    count: int = RATE_COUNT
    minutes: int = RATE_MINUTES
    per: Per = "fingerprint"


Params = PaymentParams | ErrorNewParams | ErrorRateParams

_KINDS: Mapping[str, type[Params]] = {
    PAYMENT: PaymentParams,
    ERROR_NEW: ErrorNewParams,
    ERROR_RATE: ErrorRateParams,
}


class BadParamsError(ValueError):
    """A rule or parameter is wrong: `field` names it, the message says what would be right."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


def read_params(rule: str, given: object) -> Params:
    """Return the parameters of a rule, given as JSON has them; `BadParamsError` names a wrong one.

    Those left out are as they are for every site.
    """
    if rule not in RULES:
        raise BadParamsError("rule", f"rule must be one of: {', '.join(RULES)}")
    if not isinstance(given, Mapping):
        raise BadParamsError("params", "params must be an object")
    kind = _KINDS[rule]
    known = [field.name for field in fields(kind)]
    for name in given:
        if name not in known:
            has = f"has only {', '.join(known)}" if known else "has no parameters"
            raise BadParamsError("params", f"{rule} {has}")
    values = {name: _READERS[name](value) for name, value in given.items() if value is not None}
    return kind(**values)


def told(params: Params) -> dict[str, Any]:
    """Return the parameters as JSON has them, without those that are as for every site.

    So `{}` means: what holds for every site.
    """
    defaults = asdict(type(params)())
    return {
        name: _plain(value) if isinstance(value, Decimal) else value
        for name, value in asdict(params).items()
        if value != defaults[name]
    }


def _plain(amount: Decimal) -> int | float:
    whole = int(amount)
    return whole if amount == whole else float(amount)


def _amount(value: object) -> Decimal:
    right = f"min_amount must be a number from 0 to {MAX_AMOUNT:,}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadParamsError("params.min_amount", right)
    if not 0 <= value <= MAX_AMOUNT:  # not a number is not in between, either
        raise BadParamsError("params.min_amount", right)
    return Decimal(str(value))


def _currency(value: object) -> str:
    letters = value.upper() if isinstance(value, str) else ""
    if not (len(letters) == _CURRENCY_LETTERS and letters.isascii() and letters.isalpha()):
        raise BadParamsError("params.currency", "currency must be three letters (ISO 4217)")
    return letters


def _whole(name: str, value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise BadParamsError(f"params.{name}", f"{name} must be a whole number from 1 to {most:,}")
    return value


def _per(value: object) -> str:
    if value not in get_args(Per):
        raise BadParamsError("params.per", f"per must be one of: {', '.join(get_args(Per))}")
    return str(value)


_READERS: Mapping[str, Any] = {
    "min_amount": _amount,
    "currency": _currency,
    "count": lambda value: _whole("count", value, MAX_RATE_COUNT),
    "minutes": lambda value: _whole("minutes", value, MAX_RATE_MINUTES),
    "per": _per,
}
