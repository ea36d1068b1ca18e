"""What HTTP asks of a subscription, read: pure."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from schemas.alert_rules import BadParamsError, read_params, told
from schemas.settings import SITE_ID
from sinks.webhooks.addresses import ForbiddenError, check_url

MAX_COOLDOWN_SECONDS = 30 * 24 * 3_600

#: The place of a row in a list: when it was made, and its id.
Cursor = tuple[datetime, str]

_NEW = ("site_id", "rule", "params", "channel", "cooldown_seconds", "enabled")
_CHANGED = ("params", "channel", "cooldown_seconds", "enabled")


class Invalid(ValueError):  # noqa: N818 - a name that those outside know
    """A field of a request is wrong; `sentence` says what would be right."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Asked:
    """A subscription as it shall be."""

    site_id: str
    rule: str
    params: dict[str, Any]
    url: str
    cooldown_seconds: int
    enabled: bool


def read_new(site_id: str, body: Mapping[str, Any], *, allow_private: bool) -> Asked:
    """Read the body of a new subscription; `Invalid` names the field."""
    _check_fields(body, _NEW)
    if not SITE_ID.fullmatch(site_id) or body.get("site_id", site_id) != site_id:
        raise Invalid("site_id", "site_id must be 1 to 64 of A-Z a-z 0-9 . _ -")
    rule = body.get("rule")
    if not isinstance(rule, str):
        raise Invalid("rule", "rule must be the name of an alert rule")
    if "channel" not in body:
        raise Invalid("channel", 'channel must be {"type": "webhook", "url": …}')
    return Asked(
        site_id,
        rule,
        _params(rule, body.get("params", {})),
        _url(body["channel"], allow_private=allow_private),
        _cooldown(body.get("cooldown_seconds", 0)),
        _enabled(body.get("enabled", True)),
    )


def read_change(asked: Asked, body: Mapping[str, Any], *, allow_private: bool) -> Asked:
    """Read the body of a change and return the whole as it shall be; `Invalid` names the field."""
    _check_fields(body, _CHANGED)
    return Asked(
        asked.site_id,
        asked.rule,
        _params(asked.rule, body["params"]) if "params" in body else asked.params,
        _url(body["channel"], allow_private=allow_private) if "channel" in body else asked.url,
        _cooldown(body.get("cooldown_seconds", asked.cooldown_seconds)),
        _enabled(body.get("enabled", asked.enabled)),
    )


def read_id(text: str) -> str | None:
    """Return an id as the database has it; None for what is none."""
    try:
        return str(UUID(text))
    except ValueError:
        return None


def cursor_of(created_at: datetime, name: str) -> str:
    """Return the cursor behind the row that was made then and has this id."""
    key = json.dumps([created_at.isoformat(), name]).encode()
    return base64.urlsafe_b64encode(key).rstrip(b"=").decode()


def read_cursor(cursor: str | None) -> Cursor | None:
    """Read a cursor of ours; `Invalid` when it is none."""
    if cursor is None:
        return None
    try:
        key = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars="-_", validate=True)
        made, name = json.loads(key)
        return datetime.fromisoformat(made).astimezone(UTC), str(UUID(name))
    except (binascii.Error, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        sentence = "cursor must be the next_cursor of an earlier answer"
        raise Invalid("cursor", sentence) from None


def _check_fields(body: Mapping[str, Any], known: tuple[str, ...]) -> None:
    if not isinstance(body, Mapping):
        raise Invalid("body", "the body must be a JSON object")
    for name in body:
        if name not in known:
            raise Invalid(str(name)[:100], f"unknown field; known are {', '.join(known)}")


def _params(rule: str, given: object) -> dict[str, Any]:
    try:
        return told(read_params(rule, given))
    except BadParamsError as error:
        raise Invalid(error.field, str(error)) from None


def _url(channel: object, *, allow_private: bool) -> str:
    if not isinstance(channel, Mapping) or channel.keys() != {"type", "url"}:
        raise Invalid("channel", 'channel must be {"type": "webhook", "url": …}')
    if channel["type"] != "webhook":
        raise Invalid("channel.type", "channel.type must be webhook")
    if not isinstance(channel["url"], str):
        raise Invalid("channel.url", "channel.url must be a text")
    try:
        check_url(channel["url"], allow_private=allow_private)
    except ForbiddenError as error:
        raise Invalid("channel.url", str(error)) from None
    return channel["url"]


def _cooldown(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid("cooldown_seconds", "cooldown_seconds must be a whole number")
    if not 0 <= value <= MAX_COOLDOWN_SECONDS:
        sentence = f"cooldown_seconds must be from 0 to {MAX_COOLDOWN_SECONDS:,}"
        raise Invalid("cooldown_seconds", sentence)
    return value


def _enabled(value: object) -> bool:
    if not isinstance(value, bool):
        raise Invalid("enabled", "enabled must be true or false")
    return value
