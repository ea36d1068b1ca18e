"""Rybbit: `@rybbit/js`, `@rybbit/node`, its script and its tracking API.

Source of the members: https://rybbit.com/docs/api, and the recorded requests.

`@rybbit/js` counts a changed fragment as a page view; the script of 2025 takes a route in the
fragment for the path. Neither reports time on a page, nor pages restored from the back/forward
cache. The script reports the size of the viewport as the size of the screen.
"""

from typing import Any

from producer_api.events.dialects.decoding import json_object, unpacked
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
from producer_api.events.dialects.pages import path_with_fragment
from producer_api.events.dialects.values import json_or_text
from producer_api.events.request import Request
from schemas.site_keys import KEY_PREFIX
from schemas.urls import location_of

Members = dict[str, Any]

#: Members that have a field of the same meaning.
_FIELDS = {
    "hostname": "hostname",
    "page_title": "title",
    "referrer": "referrer",
    "language": "language",
    "user_id": "user_id",
    "user_agent": "user_agent",
    "ip_address": "ip",
}
#: Types that have another name, or none of ours.
_TYPES = {
    "performance": "web_vitals",
    "outbound": "external_link",
    "input_change": "custom_event",
}
_SAME_TYPES = ("pageview", "custom_event", "error", "button_click", "copy", "form_submit")
_ERROR_FIELDS = {"error_name": "error_name", "message": "error_message", "stack": "error_stack"}
#: The referrer of a page that has none, of the first versions of `@rybbit/js`.
_DIRECT = "direct"
_SCREEN = {"screenWidth": "width", "screenHeight": "height"}
_VITALS = ("lcp", "cls", "inp", "fcp", "ttfb")
#: What a site chooses in Rybbit's settings: everything that headrace has a type for.
_CONFIGURATION = {
    "trackInitialPageView": True,
    "trackSpaNavigation": True,
    "trackUrlParams": True,
    "trackOutbound": True,
    "trackErrors": True,
    "trackButtonClicks": True,
    "trackCopy": True,
    "trackFormInteractions": True,
    "webVitals": True,
    "trackIp": False,
    "sessionReplay": False,
}


def translate(request: Request) -> list[Event]:
    """Return the event of a message."""
    rest = json_object(unpacked(request.body))
    event = _common(rest)
    event["url"] = url = _url(request, event.get("hostname"), rest)
    if url and "#/" in url:
        event["path"] = path_with_fragment(url)
    kind = rest.pop("type", None) or "pageview"
    name = rest.pop("event_name", None) or None
    event["properties"] = _properties(rest.pop("properties", None))
    event["type"] = kind if kind in _SAME_TYPES else _TYPES.get(str(kind), "custom_event")
    if kind == "error":
        _read_error(event, name)
    elif kind == "performance":
        event["vitals"] = {vital: rest.pop(vital) for vital in _VITALS if vital in rest}
    else:
        is_other = event["type"] == "custom_event" != kind
        event["event_name"] = name or (str(kind) if is_other else None)
    return [_with(event, rest)]


def identify(request: Request) -> list[Event]:
    """Return the event of a visitor who logged in, or has new traits."""
    rest = json_object(unpacked(request.body))
    event = _common(rest)
    event |= {"type": "identify", "properties": rest.pop("traits", None)}
    return [_with(event, rest)]


def _common(rest: Members) -> Event:
    """Move the members that need no translation from `rest` to a new event."""
    event = {field: rest.pop(name) or None for name, field in _FIELDS.items() if name in rest}
    if event.get("referrer") == _DIRECT:
        event["referrer"] = None
    event["site_id"] = rest.pop("site_id", None)
    # Keys of Rybbit are secret, and must not be stored.
    key = str(rest.pop("api_key", ""))
    if key.startswith(KEY_PREFIX):
        event["site_id"] = key
    if screen := {side: rest.pop(name) for name, side in _SCREEN.items() if name in rest}:
        event["screen"] = screen
    return event


def _with(event: Event, unmapped: Members) -> Event:
    unmapped = {name: value for name, value in unmapped.items() if value is not None}
    return {**event, UNMAPPED: unmapped} if unmapped else event


def _url(request: Request, hostname: Any, rest: Members) -> str | None:
    """Return the URL of the page: its parts are separate, and the path may have a fragment."""
    path, query = (_pop_text(rest, name) for name in ("pathname", "querystring"))
    if not (path or query or hostname):
        return None
    (path, mark, fragment) = path.partition("#")
    if query and not query.startswith("?"):
        query = f"?{query}"
    if not path.startswith("/"):
        path = f"/{path}"
    return f"{_origin(request, hostname)}{path}{query}{mark}{fragment}"


def _origin(request: Request, hostname: Any) -> str:
    """Return scheme and host of a page: those of the header `Origin`, if it has the host."""
    origin = request.headers.get(b"origin", b"").decode("latin-1")
    if hostname and location_of(origin).host == hostname:
        return origin
    return f"https://{hostname}" if isinstance(hostname, str) else ""


def _pop_text(rest: Members, name: str) -> str:
    return rest.pop(name) if isinstance(rest.get(name), str) else ""


def _properties(value: Any) -> Any:
    """Return properties, which are a JSON text."""
    return json_or_text(value) if isinstance(value, str) and value else value


def _read_error(event: Event, name: Any) -> None:
    """Move the members of an error from the properties to their fields."""
    properties = event["properties"]
    if isinstance(properties, dict):
        for member, field in _ERROR_FIELDS.items():
            event[field] = properties.pop(member, None)
        event["properties"] = properties or None
    event["error_name"] = event.get("error_name") or name
    if name != event["error_name"]:
        event["event_name"] = name


def respond(_: Request, outcome: Outcome) -> Reply:
    """Return the response of the tracking API, which the clients do not read."""
    return accepted_or_error(outcome, json_reply({"success": True}))


def _respond_with_configuration(_: Request, __: Outcome) -> Reply:
    return json_reply(_CONFIGURATION)


RYBBIT = Dialect(
    "rybbit",
    "Rybbit",
    (
        Endpoint("/api/track", translate, respond),
        Endpoint("/api/identify", identify, respond),
        Endpoint(
            "/api/site/tracking-config/{site}",
            no_events,
            _respond_with_configuration,
            methods=("GET",),
        ),
    ),
)
