"""Plausible: `@plausible-analytics/tracker`, `plausible-tracker` and its Events API.

Source of the members: https://plausible.io/docs/events-api, and the recorded requests.
"""

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
from producer_api.events.rejection import Rejected
from producer_api.events.request import Request

#: The short name of each member.
_MEMBERS = {
    "n": "n",
    "name": "n",
    "u": "u",
    "url": "u",
    "d": "d",
    "domain": "d",
    "r": "r",
    "referrer": "r",
    "p": "p",
    "props": "p",
    "m": "p",
    "meta": "p",
    "$": "$",
    "revenue": "$",
    "e": "e",
    "engagementTime": "e",
    "sd": "sd",
}
#: Names of events that have a type of ours; all others are custom events.
_TYPES = {
    "pageview": "pageview",
    "engagement": "pageleave",
    "Outbound Link: Click": "external_link",
    "Form: Submission": "form_submit",
}


def is_plausible(request: Request) -> bool:
    """Return True if a request to our own path has the members of Plausible."""
    try:
        body = json_of(unpacked(request.body))
    except Rejected:
        return False
    if not isinstance(body, dict) or "type" in body:
        return False
    members = {_MEMBERS.get(name) for name in body}
    return {"n", "d"} <= members


def translate(request: Request) -> list[Event]:
    """Return an event for each of the sites, which are separated by commas."""
    members: dict[str, Any] = {}
    unmapped: dict[str, Any] = {}
    for name, value in json_object(unpacked(request.body)).items():
        if name in _MEMBERS:
            members[_MEMBERS[name]] = value
        else:
            unmapped[name] = value
    event = _event(members)
    if unmapped:
        event[UNMAPPED] = unmapped
    sites = str(members["d"]).split(",")
    return [{**event, "site_id": site.strip()} for site in sites]


def _event(members: dict[str, Any]) -> Event:
    name = members.get("n")
    properties = members.get("p")
    if isinstance(properties, str):  # plausible.js before 2021 sent a JSON text
        properties = _object_of(properties)
    event: Event = {
        "type": _TYPES.get(str(name), "custom_event"),
        "url": members.get("u"),
        "referrer": members.get("r"),
        "properties": properties,
    }
    if event["type"] not in ("pageview", "pageleave"):
        event["event_name"] = name
    if "e" in members:
        event["duration"] = members["e"]
    if "sd" in members:
        event["properties"] = {**(properties or {}), "scroll": members["sd"]}
    if isinstance(revenue := members.get("$"), str):
        revenue = _object_of(revenue)
    if isinstance(revenue, dict):
        event |= {"type": "payment", "amount": revenue.get("amount")}
        event["currency"] = revenue.get("currency")
    return event


def _object_of(text: str) -> dict[str, Any]:
    try:
        value = json_of(text.encode())
    except Rejected:
        value = text
    return value if isinstance(value, dict) else {"value": text}


def respond(_: Request, outcome: Outcome) -> Reply:
    """Return the response of the Events API."""
    return accepted_or_error(outcome, Reply(202, b"ok", "text/plain; charset=utf-8"))


PLAUSIBLE = Dialect(
    "plausible", "Plausible", (Endpoint("/api/event", translate, respond, matches=is_plausible),)
)
