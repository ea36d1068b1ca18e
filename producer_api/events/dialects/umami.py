"""Umami: its script, `@umami/node`, `umami-analytics` (PyPI) and its events API.

Source of the members: https://umami.is/docs/api/sending-stats, and the recorded requests.

The script reports no page view for `history.back()` and restored pages. Its only measure of time is
in `performance`: until the page is hidden for the first time, or ten seconds after it was shown.
"""

from math import inf
from typing import Any

from producer_api.events.dialects.decoding import batch_of, json_object, json_of, unpacked
from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import (
    Dialect,
    Endpoint,
    Event,
    Outcome,
    Reply,
    accepted_or_error,
    json_reply,
    no_events,
)
from producer_api.events.dialects.values import SECOND, iso_time, size
from producer_api.events.request import Request

Members = dict[str, Any]

#: Members that have a field of the same meaning.
_FIELDS = {
    "hostname": "hostname",
    "title": "title",
    "referrer": "referrer",
    "language": "language",
    "id": "user_id",
    "ip": "ip",
    "userAgent": "user_agent",
    "data": "properties",
    "event_data": "properties",  # of version 1
}
#: The name of an event, which versions up to 1.32 called its value.
_NAMES = ("name", "event_name", "event_value")
#: Types that say no more than the other members do; the last one is of version 1.
_PLAIN = ("event", "pageview")
#: Members of which one says whose event it is.
_SOURCES = ("website", "link", "pixel")
_VITALS = ("lcp", "inp", "cls", "fcp", "ttfb")


def translate(request: Request) -> list[Event]:
    """Return the events of a message: two if it reports both vitals and a duration."""
    return _events(json_object(unpacked(request.body)))


def translate_batch(request: Request) -> list[Event]:
    """Return the events of an array of messages."""
    messages = batch_of(json_of(unpacked(request.body)))
    return [event for message in messages for event in _events(message)]


def _events(message: Any) -> list[Event]:
    unmapped = dict(message) if isinstance(message, dict) else {"message": message}
    payload = unmapped.pop("payload", None)
    if not isinstance(payload, dict):
        (payload, unmapped["payload"]) = ({}, payload)
    kind = unmapped.pop("type", "event")
    rest = dict(payload)
    event = _page(rest)
    if kind == "performance":
        events = _performance(event, rest)
    elif kind == "identify":
        events = [_identify(event, rest)]
    else:
        unmapped |= {} if kind in _PLAIN else {"type": kind}
        events = [_event(event, rest)]
    if unmapped := {name: value for name, value in (unmapped | rest).items() if value is not None}:
        events[0][UNMAPPED] = unmapped
    return events


def _page(rest: Members) -> Event:
    """Move the members of all messages from `rest` to a new event."""
    event: Event = {
        field: value
        for name, field in _FIELDS.items()
        if (value := rest.pop(name, None)) not in (None, "")
    }
    event["url"] = _absolute(rest.pop("url", None), event.get("hostname"))
    event["site_id"] = next(filter(None, [rest.pop(name, None) for name in _SOURCES]), None)
    if "timestamp" in rest:
        event["timestamp"] = iso_time(rest.pop("timestamp"), SECOND)
    if screen := size(rest.get("screen")):
        del rest["screen"]
        event["screen"] = dict(zip(("width", "height"), screen, strict=True))
    properties = event.get("properties", {})
    if "tag" in rest and isinstance(properties, dict) and "tag" not in properties:
        # The `data-tag` of the page.
        event["properties"] = {**properties, "tag": rest.pop("tag")}
    return event


def _absolute(url: Any, hostname: Any) -> Any:
    """Return the URL of a path, if the host is known."""
    if isinstance(url, str) and isinstance(hostname, str) and url.startswith("/"):
        return f"https://{hostname}{url}"
    return url or None


def _event(event: Event, rest: Members) -> Event:
    name = next(filter(None, (rest.pop(name, None) for name in _NAMES)), None)
    event |= {"type": "custom_event" if name else "pageview", "event_name": name}
    properties = event.get("properties")
    if name and isinstance(properties, dict) and _is_revenue(properties):
        properties = dict(properties)
        event |= {"type": "payment", "amount": properties.pop("revenue")}
        event |= {"currency": properties.pop("currency"), "properties": properties}
    return event


def _is_revenue(properties: Members) -> bool:
    """Return True if Umami counts an event with these data as revenue."""
    try:
        revenue = float(str(properties.get("revenue")))
    except ValueError:
        return False
    return 0 < revenue < inf and bool(properties.get("currency"))


def _identify(event: Event, rest: Members) -> Event:
    properties = event.get("properties")
    if "user_id" not in event and isinstance(properties, dict):
        # `identify` of @umami/node has no other way to pass it.
        event["user_id"] = properties.get("id")
    event["type"] = "identify"
    event["event_name"] = rest.pop("name", None) or None
    return event


def _performance(event: Event, rest: Members) -> list[Event]:
    vitals = {name: rest.pop(name) for name in _VITALS if name in rest}
    measured = {name: value for name, value in vitals.items() if value is not None}
    duration = rest.pop("duration", None)
    events = []
    if measured or duration is None:
        events.append({**event, "type": "web_vitals", "vitals": measured})
    if duration is not None:
        events.append({**event, "type": "pageleave", "duration": duration})
    return events


def respond(_: Request, outcome: Outcome) -> Reply:
    """Return the response of `/api/send`; the client sends `cache` back, and needs no more."""
    ids = dict.fromkeys(("cache", "sessionId", "visitId"), outcome.session_id)
    return accepted_or_error(outcome, json_reply(ids))


def respond_to_batch(_: Request, outcome: Outcome) -> Reply:
    """Return the response of `/api/batch`, which counts rejected events."""
    if outcome.results and not outcome.events:  # the request cannot be read
        return accepted_or_error(outcome, Reply())
    rejected = [
        {"index": result["index"], "response": {name: result[name] for name in ("error", "code")}}
        for result in outcome.results
        if result["status"] != "accepted"
    ]
    size = len(outcome.results)
    counts = {"size": size, "processed": size - len(rejected), "errors": len(rejected)}
    return json_reply({**counts, "details": rejected, "cache": outcome.session_id or None})


def _respond_to_heartbeat(_: Request, __: Outcome) -> Reply:
    return json_reply({"ok": True})


UMAMI = Dialect(
    "umami",
    "Umami",
    (
        Endpoint("/api/send", translate, respond),
        # The path of version 1.
        Endpoint("/api/collect", translate, respond),
        Endpoint("/api/batch", translate_batch, respond_to_batch),
        # Earlier clients for Python post.
        Endpoint("/api/heartbeat", no_events, _respond_to_heartbeat, methods=("GET", "POST")),
    ),
)
