"""The schema of Segment, RudderStack and Jitsu: a message as an event.

Source: https://segment.com/docs/connections/spec/, and the recorded requests. What has no field
goes to `properties` if the site said it, and to `extra` if the client said it.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from math import isfinite
from typing import Any

from producer_api.events.dialects.fitting import UNMAPPED, hashed_id
from producer_api.events.dialects.model import Event

Members = dict[str, Any]

_PAGE = ("url", "path", "title", "referrer")
#: They repeat parts of the URL and the referrer, in which alone e-mail addresses are masked.
_REPEATED = ("search", "host", "tab_url", "referring_domain")
_SCREEN = {
    "density": "pixel_ratio",
    "innerWidth": "viewport_width",
    "innerHeight": "viewport_height",
}
_ORDERS = frozenset({"order completed", "completed order"})
#: Events of the e-commerce specification with the revenue of an order that is not paid by them.
_UNPAID = frozenset({"checkout started", "order updated", "order refunded", "order cancelled"})
#: Amounts of an order, the most specific first.
_AMOUNTS = ("revenue", "total", "value")


def event_of(message: Members, kind: str) -> Event:
    """Return the event of a message; `kind` is its type unless it has the member `type`."""
    rest = dict(message)
    rest.pop("writeKey", None)
    context = _object(rest.pop("context", None))
    kind = str(rest.pop("type", None) or kind).lower()
    event = {
        # An empty id is none: it would make all events one.
        "event_id": rest.pop("messageId", None) or None,
        # RudderStack's clients write their clock to the other, also if the site says a time.
        "timestamp": rest.pop("timestamp", None) or rest.pop("originalTimestamp", None),
        "sent_at": rest.pop("sentAt", None),
        "session_id": _session_id(context, rest),
        "visitor_id": rest.pop("anonymousId", None),
        "user_id": rest.pop("userId", None),
        **_READERS.get(kind, _read_other(kind))(rest, context),
    }
    event |= _environment(context, event)
    if unmapped := _non_empty({**rest, "context": _non_empty(context)}):
        event[UNMAPPED] = unmapped
    return event


def _session_id(context: Members, rest: Members) -> Any:
    """Return the id of a session.

    RudderStack's is the time in milliseconds at which it began, which is unique on one device only.
    """
    session_id = context.pop("sessionId", None)
    if isinstance(session_id, int):
        return hashed_id("", f"{rest.get('anonymousId')}.{session_id}")
    return session_id


def _read_page(rest: Members, context: Members) -> Event:
    """Read a page view. The properties of the call override `context.page`."""
    said = _object(context.get("page"))
    properties = _object(rest.pop("properties", None))
    own = _without_empty(_take(properties, _PAGE))
    page = {**_page(context), **own}
    if "url" in own:
        page.pop("hostname", None)
    properties = {
        name: value for name, value in properties.items() if name not in said or said[name] != value
    }
    for name in _REPEATED:
        if str(properties.get(name, "")) in f"{page.get('url')} {page.get('referrer')}":
            properties.pop(name, None)
    for name in ("name", "category"):
        if value := rest.pop(name, None):
            properties.setdefault(name, value)
    page.setdefault("title", properties.get("name"))
    return {"type": "pageview", **page, "properties": properties or None}


def _read_screen(rest: Members, context: Members) -> Event:
    """Read a view of a screen of an app, which has a name instead of a path."""
    view = _read_page(rest, context)
    if "path" not in view and "url" not in view:
        view["path"] = view["title"]
    return view


def _read_track(rest: Members, context: Members) -> Event:
    """Read an event; one with revenue is a payment, unless it is of an order that is not paid."""
    name = rest.pop("event", None)
    properties = _object(rest.pop("properties", None))
    event = {"type": "custom_event", "event_name": name, "properties": properties or None}
    event |= _page(context)
    known = str(name).lower().replace("_", " ")
    if known in _ORDERS:
        amounts = [properties[name] for name in _AMOUNTS if properties.get(name) is not None]
        amounts.sort(key=_is_no_number)  # "29,90" has another meaning in each country
        event |= {"type": "payment", "amount": next(iter(amounts), None)}
    elif known not in _UNPAID and _is_positive(properties.get("revenue")):
        event |= {"type": "payment", "amount": properties["revenue"]}
    if event["type"] == "payment":
        event["currency"] = properties.get("currency")
    return event


def _read_identify(rest: Members, context: Members) -> Event:
    traits = _object(rest.pop("traits", None))
    more = _object(context.pop("traits", None))
    return {"type": "identify", "properties": {**more, **traits} or None, **_page(context)}


def _read_alias(rest: Members, context: Members) -> Event:
    """Read the union of two ids. The earlier one may be that of a user or of a visitor."""
    properties = _take(rest, ("previousId",))
    return {"type": "identify", "properties": properties or None, **_page(context)}


def _read_group(rest: Members, context: Members) -> Event:
    properties = {**_object(rest.pop("traits", None)), **_take(rest, ("groupId",))}
    event = {"type": "custom_event", "event_name": "group", **_page(context)}
    return {**event, "properties": properties or None}


def _read_other(kind: str) -> Callable[[Members, Members], Event]:
    """Return the reader of messages of an unknown type; without a type they are rejected."""

    def read(rest: Members, context: Members) -> Event:
        properties = _object(rest.pop("properties", None))
        event = {"type": "custom_event", "event_name": kind} if kind else {}
        return {**event, **_page(context), "properties": properties or None}

    return read


_READERS = {
    "page": _read_page,
    "screen": _read_screen,
    "track": _read_track,
    "identify": _read_identify,
    "alias": _read_alias,
    "group": _read_group,
}


def _page(context: Members) -> Members:
    """Take the page from the context; what is left of it stays there."""
    page = _object(context.pop("page", None))
    taken = _without_empty(_take(page, _PAGE))
    left = {name: value for name, value in page.items() if name not in _REPEATED}
    context["page"] = _non_empty(left)
    host = page.get("host")
    if isinstance(host, str) and host not in str(taken.get("url", host)):
        # Jitsu replaces the URL of the page by a property of this name.
        taken |= {"url": None, "hostname": host}
    return taken


def _environment(context: Members, event: Event) -> Event:
    """Take browser, screen, address and campaign from the context."""
    screen = _object(context.pop("screen", None))
    campaign = _object(context.pop("campaign", None))
    fields: Event = {
        "user_agent": context.pop("userAgent", None) or None,
        "language": context.pop("locale", None) or None,
        "ip": context.pop("ip", None),
        "screen": {_SCREEN.get(name, name): value for name, value in screen.items()} or None,
    }
    # Jitsu does not decode what it takes from the URL.
    if campaign and "utm_" not in str(event.get("url")):
        fields["utm"] = {
            "campaign" if name == "name" else name: value for name, value in campaign.items()
        }
    return fields


def _take(members: Members, names: tuple[str, ...]) -> Members:
    return {name: members.pop(name) for name in names if name in members}


def _object(value: Any) -> Members:
    """Return a copy of an object; any other value becomes the member `value` of one."""
    if isinstance(value, dict):
        return dict(value)
    return {} if value is None else {"value": value}


def _without_empty(members: Members) -> Members:
    return {name: value for name, value in members.items() if value not in (None, "")}


def _non_empty(members: Mapping[str, Any]) -> Members:
    """Return the members that say something."""
    return {name: value for name, value in members.items() if value not in (None, "", {}, [])}


def _is_no_number(value: Any) -> bool:
    try:
        return not isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return True


def _is_positive(value: Any) -> bool:
    if isinstance(value, str):
        with suppress(ValueError):
            value = float(value)
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
