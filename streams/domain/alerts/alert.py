"""Alerts: how each rule words and identifies what it raises.

Alert ids are derived from rule, subject and event, so that a replay raises no alert twice.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote
from uuid import UUID, uuid5

from msgspec.structs import replace

from schemas.headers import Source
from schemas.paths import NO_PATH, path_of
from schemas.records import Alert, RawEvent

#: The namespace of alert ids.
NAMESPACE = UUID("a3c2b6de-6a1b-5b8f-8d52-7c1f2b9e4d03")
#: The field of the details with the link to the dashboard.
LINK = "dashboard_url"
#: Encodes the details of alerts.
JSON = json.JSONEncoder(ensure_ascii=False)

_DAY_US = 24 * 3_600_000_000
#: The fields of the event in the details of each alert.
_WHERE = ("site_id", "session_id", "visitor_id", "user_id", "url", "trust")
_MAX_TITLE_CHARACTERS = 200


class Occasion(NamedTuple):
    """The content of an alert; `name` distinguishes alerts of the same rule and subject."""

    rule: str
    subject: str
    name: str
    title: str
    details: Mapping[str, object]


def is_recent(event: RawEvent) -> bool:
    """Return True if an event may raise alerts; old events of an import do not."""
    return event.received_at - event.event_ts <= _DAY_US


def with_link(alert: Alert, public_url: str) -> Alert:
    """Return an alert whose details link to its site on the dashboard."""
    link = f"{public_url}/?site={quote(alert.site_id, safe='')}"
    details = {**json.loads(alert.details), LINK: link}
    return replace(alert, details=JSON.encode(details))


def make_alert(
    event: RawEvent, src: Source, occasion: Occasion, subscription_id: str | None = None
) -> Alert:
    """Return the alert of an event, with what a person needs to act in its details."""
    rule, subject, name, title, values = occasion
    where = {field: getattr(event, field) for field in _WHERE}
    path = path_of(event.path, event.url)
    found = {**values, **where, "path": None if path == NO_PATH else path}
    details = {field: value for field, value in found.items() if value is not None}
    return Alert(
        alert_id=str(uuid5(NAMESPACE, f"{event.site_id}:{rule}:{subject}:{name}")),
        site_id=event.site_id,
        rule=rule,
        subject=subject,
        title=in_a_line(title),
        details=JSON.encode(details),
        event_id=event.event_id,
        raised_at=src.log_ms * 1_000,
        subscription_id=subscription_id,
    )


def error_details(event: RawEvent) -> dict[str, object]:
    """Return the details of an alert of an error."""
    return {
        "error_name": event.error_name,
        "error_message": event.error_message,
        "error_stack": event.error_stack,
    }


def error_title(event: RawEvent) -> str:
    """Return the name and the message of an error."""
    return ": ".join(filter(None, (event.error_name, event.error_message))) or "without a name"


def plural(count: int, what: str) -> str:
    """Return a count with its noun."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def in_a_line(title: str) -> str:
    """Return a title on one line, cut to its limit."""
    return " ".join(title.split())[:_MAX_TITLE_CHARACTERS]
