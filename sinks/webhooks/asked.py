"""The bodies that HTTP takes for subscriptions, validated. Pure."""

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
from sinks.webhooks.addresses import ForbiddenError, check_url

Body = Mapping[str, Any]

MAX_COOLDOWN_SECONDS = 30 * 24 * 3_600
_SHOWN_CHARACTERS = 100


class Invalid(ValueError):  # noqa: N818 - a name that those outside know
    """A field of a request is wrong; `sentence` says what would be right."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field
        self.sentence = sentence


class RequestBody(BaseModel):
    """The JSON object of a request: no field is converted, and none may be unknown."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Channel(RequestBody):
    """Where alerts are sent."""

    type: Literal["webhook"]
    url: str = Field(description="https, and public.")


class SubscriptionChange(RequestBody):
    """The fields of a subscription that can be changed; each may be left out."""

    params: dict[str, Any] = Field(
        default={},
        description=f"payment: min_amount (to {MAX_AMOUNT:,}), currency. error.rate: count (to "
        f"{MAX_RATE_COUNT:,}), minutes (to {MAX_RATE_MINUTES:,}), per "
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
class Asked:
    """A subscription as it shall be."""

    site_id: str
    rule: str
    params: dict[str, Any]
    url: str
    cooldown_seconds: int
    enabled: bool


def read(model: type[M], body: Body) -> M:
    """Return a body as its model; `Invalid` names the first field that is wrong."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        wrong = error.errors()[0]
        field = ".".join(map(str, wrong["loc"]))[:_SHOWN_CHARACTERS]
        sentence = f"{field}: {wrong['msg']}"
        if wrong["type"] == "extra_forbidden":
            sentence = f"{field} is unknown; known are {', '.join(model.model_fields)}"
        raise Invalid(field, sentence) from None


def read_new(body: Body, *, allow_private: bool) -> Asked:
    """Read the body of a new subscription; `Invalid` names the field."""
    new = read(NewSubscription, body)
    return Asked(
        new.site_id,
        new.rule,
        _params(new.rule, new.params),
        _url(new.channel, allow_private=allow_private),
        new.cooldown_seconds,
        new.enabled,
    )


def read_change(asked: Asked, body: Body, *, allow_private: bool) -> Asked:
    """Read the body of a change and return the whole as it shall be; `Invalid` names the field."""
    change = read(SubscriptionChange, body)
    given: dict[str, Any] = {name: getattr(change, name) for name in change.model_fields_set}
    if "params" in given:
        given["params"] = _params(asked.rule, change.params)
    if given.pop("channel", None):
        given["url"] = _url(change.channel, allow_private=allow_private)
    return replace(asked, **given)


def _params(rule: str, given: object) -> dict[str, Any]:
    try:
        return non_defaults(read_params(rule, given))
    except BadParamsError as error:
        raise Invalid(error.field, str(error)) from None


def _url(channel: Channel, *, allow_private: bool) -> str:
    try:
        check_url(channel.url, allow_private=allow_private)
    except ForbiddenError as error:
        raise Invalid("channel.url", str(error)) from None
    return channel.url
