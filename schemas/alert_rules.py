"""The alert rules and their parameters: what a subscription may ask for."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
)

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
_LETTERS = re.compile("[A-Za-z]{3}")


def _amount(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("it must be a number")  # noqa: TRY004 - what pydantic reports
    return Decimal(str(value))


def _currency(value: object) -> str:
    if not isinstance(value, str) or not _LETTERS.fullmatch(value):
        raise ValueError("it must be three letters, as in ISO 4217")
    return value.upper()


def _plain(amount: Decimal) -> int | float:
    whole = int(amount)
    return whole if amount == whole else float(amount)


_Amount = Annotated[
    Decimal, BeforeValidator(_amount), Field(ge=0, le=MAX_AMOUNT), PlainSerializer(_plain)
]
_Currency = Annotated[str, BeforeValidator(_currency)]


class Params(BaseModel):
    """The parameters of a rule; those left out are as for every site."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PaymentParams(Params):
    """Payments of at least an amount, in one currency; None: of any."""

    min_amount: _Amount | None = None
    currency: _Currency | None = None

    def match(self, amount: Decimal | None, currency: str | None) -> bool:
        """Return True for a payment that is large enough and in the right currency."""
        is_large = self.min_amount is None or (amount is not None and amount >= self.min_amount)
        return is_large and self.currency in {None, (currency or "").upper()}


class ErrorNewParams(Params):
    """New errors: there is nothing to choose."""


class ErrorRateParams(Params):
    """So many errors in so many minutes, of one fingerprint or of the whole site."""

    count: int = Field(default=RATE_COUNT, ge=1, le=MAX_RATE_COUNT)
    minutes: int = Field(default=RATE_MINUTES, ge=1, le=MAX_RATE_MINUTES)
    per: Per = "fingerprint"


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

    Those left out, or null, are as for every site.
    """
    if rule not in RULES:
        raise BadParamsError("rule", f"rule must be one of: {', '.join(RULES)}")
    if not isinstance(given, Mapping):
        raise BadParamsError("params", "params must be an object")
    kind = _KINDS[rule]
    known = ", ".join(kind.model_fields)
    if given.keys() - kind.model_fields.keys():
        has = f"has only {known}" if known else "has no parameters"
        raise BadParamsError("params", f"{rule} {has}")
    try:
        return kind(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        wrong = error.errors()[0]
        name, reason = wrong["loc"][0], wrong["msg"].removeprefix("Value error, ")
        raise BadParamsError(f"params.{name}", f"{name}: {reason}") from None


def non_defaults(params: Params) -> dict[str, Any]:
    """Return the parameters as JSON, without those that have the default of every site."""
    return params.model_dump(exclude_defaults=True)
