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

#: The names of each member; of several the first one that is there counts.
_NAMES = {
    "name": ("n", "name"),
    "url": ("u", "url"),
    "domain": ("d", "domain"),
    "referrer": ("r", "referrer"),
    "props": ("m", "meta", "p", "props"),
    "revenue": ("$", "revenue"),
    "hash": ("h", "hashMode"),
    "engaged": ("e",),
    "scroll": ("sd",),
    "width": ("w",),
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
    return (
        isinstance(body, dict)
        and "type" not in body
        and "site_id" not in body
        and _has(body, "name")
        and (_has(body, "domain") or _has(body, "url"))
    )


def _has(body: dict[str, Any], member: str) -> bool:
    return any(name in body for name in _NAMES[member])


def translate(request: Request) -> list[Event]:
    """Return an event for each of the sites, which are separated by commas."""
    unmapped = json_object(unpacked(request.body))
    members = {}
    for member, names in _NAMES.items():
        name = next((name for name in names if unmapped.get(name) is not None), None)
        members[member] = None if name is None else unmapped.pop(name)
    event = _event(members, unmapped)
    if unmapped := {name: value for name, value in unmapped.items() if value is not None}:
        event[UNMAPPED] = unmapped
    return [{**event, "site_id": site} for site in _sites(members)]


def _event(members: dict[str, Any], unmapped: dict[str, Any]) -> Event:
    """Return the event of the members; those that do not fit are added to `unmapped`."""
    name = members["name"]
    event: Event = {
        "type": _TYPES.get(str(name), "custom_event"),
        "url": members["url"],
        "referrer": members["referrer"],
        "properties": _decoded(members["props"]) or None,
    }
    if event["type"] not in _WITHOUT_NAME:
        event["event_name"] = name
    if members["hash"] == 1:
        event["path"] = path_with_fragment(str(members["url"]))
    if members["width"] is not None:
        event["screen"] = {"viewport_width": members["width"]}
    if (scroll := members["scroll"]) is not None:
        event["properties"] = {**(event["properties"] or {}), "scroll": scroll}
    engaged = members["engaged"]
    if isinstance(engaged, int | float) and engaged < _MAX_ENGAGED_MS:
        event["duration"] = engaged
    elif engaged is not None:
        unmapped["e"] = engaged
    if revenue := _decoded(members["revenue"]):
        if _is_amount(revenue.get("amount")):
            event |= {"type": "payment", "amount": revenue.pop("amount")}
            event["currency"] = revenue.pop("currency", None)
        if revenue:
            unmapped["$"] = revenue
    return event


def _sites(members: dict[str, Any]) -> list[str]:
    """Return the sites; without a domain it is the host of the page, without `www.`."""
    domain = members["domain"]
    if domain is None:
        return [(location_of(str(members["url"])).host or "").removeprefix("www.")]
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
