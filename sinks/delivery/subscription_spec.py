"""Validation of the request bodies for subscriptions. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.alert_rules import (
    MAX_AMOUNT,
    MAX_RATE_COUNT,
    MAX_RATE_MINUTES,
    RULES,
    BadParamsError,
    Per,
    non_defaults,
    read_params,
)
from schemas.settings import SITE_ID
from sinks.delivery.addresses import ForbiddenError, check_url

Body = Mapping[str, Any]

MAX_COOLDOWN_SECONDS = 30 * 24 * 3_600
#: Characters of a field name in an error.
_MAX_FIELD_CHARACTERS = 100
#: Errors whose messages have names of Python instead of JSON.
_NOT_AN_OBJECT = frozenset({"dict_type", "model_type"})


class Invalid(ValueError):  # noqa: N818
    """A field of a request is invalid; `sentence` says what is expected."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field
        self.sentence = sentence


class RequestBody(BaseModel):
    """The JSON object of a request. Values are not coerced; unknown fields are rejected."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Channel(RequestBody):
    """The destination of alerts."""

    type: Literal["webhook"]
    url: str = Field(description="https, and public.")


class SubscriptionChange(RequestBody):
    """The mutable fields of a subscription; all are optional."""

    params: dict[str, Any] = Field(
        default={},
        description=f"payment: min_amount (to {MAX_AMOUNT:,}), currency, trust (key). "
        f"error.rate: count (to {MAX_RATE_COUNT:,}), minutes (to {MAX_RATE_MINUTES:,}), per "
        f"({' or '.join(get_args(Per))}). error.new: none.",
    )
    channel: Channel = Field(default_factory=lambda: Channel(type="webhook", url=""))
    cooldown_seconds: int = Field(default=0, ge=0, le=MAX_COOLDOWN_SECONDS)
    enabled: bool = True


class NewSubscription(SubscriptionChange):
    """A subscription to create."""

    site_id: Annotated[str, Field(pattern=f"^{SITE_ID.pattern}$")]
    rule: Annotated[str, Field(json_schema_extra={"enum": list(RULES)})]
    channel: Channel


M = TypeVar("M", bound=RequestBody)


@dataclass(frozen=True, slots=True)
class SubscriptionSpec:
    """The validated fields of a subscription, with defaults applied."""

    site_id: str
    rule: str
    params: dict[str, Any]
    url: str
    cooldown_seconds: int
    enabled: bool


def parse(model: type[M], body: Body) -> M:
    """Parse a body into its model; raises `Invalid` for the first invalid field."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))[:_MAX_FIELD_CHARACTERS]
        sentence = f"{field}: {first['msg']}"
        if first["type"] == "extra_forbidden":
            sentence = f"{field} is unknown; the fields are {', '.join(model.model_fields)}"
        elif first["type"] in _NOT_AN_OBJECT:
            sentence = f"{field} must be an object"
        raise Invalid(field, sentence) from None


def parse_new(body: Body, *, allow_private: bool) -> SubscriptionSpec:
    """Parse the body of a new subscription; raises `Invalid`."""
    new = parse(NewSubscription, body)
    return SubscriptionSpec(
        new.site_id,
        new.rule,
        _params(new.rule, new.params),
        _url(new.channel, allow_private=allow_private),
        new.cooldown_seconds,
        new.enabled,
    )


def parse_change(spec: SubscriptionSpec, body: Body, *, allow_private: bool) -> SubscriptionSpec:
    """Return the subscription with the changes of a request body; raises `Invalid`."""
    change = parse(SubscriptionChange, body)
    changes: dict[str, Any] = {name: getattr(change, name) for name in change.model_fields_set}
    if "params" in changes:
        changes["params"] = _params(spec.rule, change.params)
    if changes.pop("channel", None):
        changes["url"] = _url(change.channel, allow_private=allow_private)
    return replace(spec, **changes)


def _params(rule: str, params: object) -> dict[str, Any]:
    try:
        return non_defaults(read_params(rule, params))
    except BadParamsError as error:
        raise Invalid(error.field, str(error)) from None


def _url(channel: Channel, *, allow_private: bool) -> str:
    try:
        check_url(channel.url, allow_private=allow_private)
    except ForbiddenError as error:
        raise Invalid("channel.url", str(error)) from None
    return channel.url
