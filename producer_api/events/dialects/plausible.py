"""Plausible: `@plausible-analytics/tracker`, `plausible-tracker` and its Events API.

The current client counts a page that returns from the back/forward cache as another view, and
sends engagement (`e`, new milliseconds since the last time) only if it is at least 3 s, or if the
page was scrolled further. The old client sends no engagement, and revenue as ordinary properties.
With hash routing (`h`), the fragment is a part of the path.

Source: https://plausible.io/docs/events-api, and the recorded requests.
"""

from math import isfinite
from typing import Any

from producer_api.events.dialects.decoding import json_object, json_of, unpacked
from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import (
    Dialect,
    Endpoint,
    Event,
    Outcome,
    Reply,
    accepted_or_error,
)
from producer_api.events.dialects.pages import path_with_fragment
from producer_api.events.rejection import Rejected
from producer_api.events.request import Request
from schemas.urls import location_of

#: What each name means. Of several names of a member the first one counts.
_MEMBERS = {
    **dict.fromkeys(("n", "name"), "name"),
    **dict.fromkeys(("u", "url"), "url"),
    **dict.fromkeys(("d", "domain"), "domain"),
    **dict.fromkeys(("r", "referrer"), "referrer"),
    **dict.fromkeys(("m", "meta", "p", "props"), "props"),
    **dict.fromkeys(("$", "revenue"), "revenue"),
    **dict.fromkeys(("h", "hashMode"), "hash"),
    "e": "engaged",
    "sd": "scroll",
    "w": "width",
}
#: Names of events that have a type of ours; all others are custom events.
_TYPES = {
    "pageview": "pageview",
    "engagement": "pageleave",
    "Outbound Link: Click": "external_link",
    "Form: Submission": "form_submit",
}
_WITHOUT_NAME = ("pageview", "pageleave")
#: Longer engagement is a bug of an early client, which Plausible ignores as well.
_MAX_ENGAGED_MS = 30 * 86_400_000


def is_plausible(request: Request) -> bool:
    """Return True if a request to our own path has the members of Plausible."""
    try:
        body = json_of(unpacked(request.body))
    except Rejected:
        return False
    if not isinstance(body, dict) or "type" in body or "site_id" in body:
        return False
    members = {_MEMBERS.get(name) for name in body}
    return "name" in members and not members.isdisjoint({"domain", "url"})


def translate(request: Request) -> list[Event]:
    """Return an event for each of the sites, which are separated by commas."""
    members: dict[str, Any] = {}
    unmapped: dict[str, Any] = {}
    for name, value in json_object(unpacked(request.body)).items():
        if value is not None:
            member = _MEMBERS.get(name)
            if member is None or member in members:
                unmapped[name] = value
            else:
                members[member] = value
    event = _event(members, unmapped)
    if unmapped:
        event[UNMAPPED] = unmapped
    return [{**event, "site_id": site} for site in _sites(members)]


def _event(members: dict[str, Any], unmapped: dict[str, Any]) -> Event:
    """Return the event of the members; those that do not fit are added to `unmapped`."""
    get = members.get
    name = get("name")
    event: Event = {"type": _TYPES.get(str(name), "custom_event")}
    event |= {"url": get("url"), "referrer": get("referrer")}
    if event["type"] not in _WITHOUT_NAME:
        event["event_name"] = name
    properties = _decoded(get("props"))
    if (scroll := get("scroll")) is not None:
        properties["scroll"] = scroll
    if properties:
        event["properties"] = properties
    if get("hash") == 1:
        event["path"] = path_with_fragment(str(get("url")))
    if (width := get("width")) is not None:
        event["screen"] = {"viewport_width": width}
    engaged = get("engaged")
    if isinstance(engaged, int | float) and engaged < _MAX_ENGAGED_MS:
        event["duration"] = engaged
    elif engaged is not None:
        unmapped["e"] = engaged
    if revenue := _decoded(get("revenue")):
        _read_revenue(event, revenue, unmapped)
    return event


def _read_revenue(event: Event, revenue: dict[str, Any], unmapped: dict[str, Any]) -> None:
    """Make an event with an amount a payment."""
    if _is_amount(revenue.get("amount")):
        event |= {"type": "payment", "amount": revenue.pop("amount")}
        event["currency"] = revenue.pop("currency", None)
    if revenue:
        unmapped["$"] = revenue


def _sites(members: dict[str, Any]) -> list[str]:
    """Return the sites; without a domain it is the host of the page, without `www.`."""
    domain = members.get("domain")
    if domain is None:
        return [(location_of(str(members.get("url"))).host or "").removeprefix("www.")]
    return list(dict.fromkeys(site.strip() for site in str(domain).split(",")))


def _decoded(value: Any) -> dict[str, Any]:
    """Return an object; the old client and Plausible's first scripts send it as a JSON text."""
    if isinstance(value, str):
        try:
            value = json_of(value.encode())
        except Rejected:
            return {"value": value}
    if isinstance(value, dict):
        return dict(value)
    return {} if value is None else {"value": value}


def _is_amount(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    try:
        return isfinite(float(value))
    except (ValueError, OverflowError):
        return False


def respond(_: Request, outcome: Outcome) -> Reply:
    """Return the response of the Events API."""
    return accepted_or_error(outcome, Reply(202, b"ok", "text/plain; charset=utf-8"))


PLAUSIBLE = Dialect(
    "plausible", "Plausible", (Endpoint("/api/event", translate, respond, matches=is_plausible),)
)
