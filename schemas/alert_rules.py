"""The alert rules and the parameters that subscriptions may set."""

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

#: The defaults of `error.rate`: the number of errors per fingerprint, and the window in minutes.
RATE_COUNT = 10
RATE_MINUTES = 5

MAX_RATE_COUNT = 1_000_000
MAX_RATE_MINUTES = 24 * 60
MAX_AMOUNT = 10**15
_LETTERS = re.compile("[A-Za-z]{3}")


def _amount(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("it must be a number")  # noqa: TRY004 - pydantic reports ValueError
    return Decimal(str(value))


def _currency(value: object) -> str:
    if not isinstance(value, str) or not _LETTERS.fullmatch(value):
        raise ValueError("it must be three letters, as in ISO 4217")
    return value.upper()


def _to_json(amount: Decimal) -> int | float:
    whole = int(amount)
    return whole if amount == whole else float(amount)


_Amount = Annotated[
    Decimal, BeforeValidator(_amount), Field(ge=0, le=MAX_AMOUNT), PlainSerializer(_to_json)
]
_Currency = Annotated[str, BeforeValidator(_currency)]


class Params(BaseModel):
    """The parameters of a rule."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PaymentParams(Params):
    """Payments of at least `min_amount` in `currency`; None matches any.

    With `trust`, only payments that were sent with a site key.
    """

    min_amount: _Amount | None = None
    currency: _Currency | None = None
    trust: Literal["key"] | None = None

    def match(self, amount: Decimal | None, currency: str | None, trust: str | None) -> bool:
        """Return True if a payment matches."""
        is_large = self.min_amount is None or (amount is not None and amount >= self.min_amount)
        is_trusted = self.trust in {None, trust}
        return is_large and is_trusted and self.currency in {None, (currency or "").upper()}


class ErrorNewParams(Params):
    """`error.new` has no parameters."""


class ErrorRateParams(Params):
    """`count` errors within `minutes`, per fingerprint or per site."""

    count: int = Field(default=RATE_COUNT, ge=1, le=MAX_RATE_COUNT)
    minutes: int = Field(default=RATE_MINUTES, ge=1, le=MAX_RATE_MINUTES)
    per: Per = "fingerprint"


_PARAMS: Mapping[str, type[Params]] = {
    PAYMENT: PaymentParams,
    ERROR_NEW: ErrorNewParams,
    ERROR_RATE: ErrorRateParams,
}


class BadParamsError(ValueError):
    """A rule or parameter is invalid. `field` names it; the message says what is valid."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


def read_params(rule: str, given: object) -> Params:
    """Validate the parameters of a rule, decoded from JSON. Raise `BadParamsError`.

    Absent and null parameters get their defaults.
    """
    if rule not in RULES:
        raise BadParamsError("rule", f"rule must be one of: {', '.join(RULES)}")
    if not isinstance(given, Mapping):
        raise BadParamsError("params", "params must be an object")
    params_class = _PARAMS[rule]
    names = ", ".join(params_class.model_fields)
    if given.keys() - params_class.model_fields.keys():
        has = f"has only {names}" if names else "has no parameters"
        raise BadParamsError("params", f"{rule} {has}")
    try:
        return params_class(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name, reason = first["loc"][0], first["msg"].removeprefix("Value error, ")
        raise BadParamsError(f"params.{name}", f"{name}: {reason}") from None


def non_defaults(params: Params) -> dict[str, Any]:
    """Return the parameters for JSON, without those that have their default value."""
    return params.model_dump(exclude_defaults=True)
