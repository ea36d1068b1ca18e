"""Version 1 of PostHog's capture API, to which clients for servers can be set (`capture_mode`).

The project is a Bearer token, and the clock at sending a header. Some properties of the client are
members of the event or its options under other names; its name and version are a header. The
response has a result for each event: `ok`, or `drop`, after which it is not sent again.
"""

from typing import Any

from producer_api.events.dialects.decoding import batch_of, json_object, unpacked
from producer_api.events.dialects.members import as_object, without_nulls
from producer_api.events.dialects.model import (
    Event,
    Outcome,
    Reply,
    accepted_or_error,
    json_reply,
)
from producer_api.events.dialects.posthog_events import events_of
from producer_api.events.request import Request

_BEARER = "bearer "
#: Members of the event and of its options that are properties in the first version.
_MEMBERS = {"session_id": "$session_id", "window_id": "$window_id"}
_OPTIONS = {
    "cookieless_mode": "$cookieless_mode",
    "disable_skew_correction": "$ignore_sent_at",
    "process_person_profile": "$process_person_profile",
    "product_tour_id": "$product_tour_id",
}


def translate(request: Request) -> list[Event]:
    """Return the events of a request; raises `Rejected`."""
    body = json_object(unpacked(request.body))
    authorization = request.header(b"authorization")
    is_bearer = authorization.lower().startswith(_BEARER)
    site_id = authorization[len(_BEARER) :].strip() if is_bearer else None
    sent_at = request.header(b"posthog-request-timestamp") or None
    if body.get("historical_migration"):
        sent_at = None  # the events are old, and their times exact
    (library, _, version) = request.header(b"posthog-sdk-info").partition("/")
    client = {"$lib": library, "$lib_version": version} if library else {}
    return [
        event
        for sent in batch_of(body.get("batch") or [])
        for event in events_of(_first_version(as_object(sent), client), site_id, sent_at)
    ]


def _first_version(event: Event, client: dict[str, str]) -> Event:
    """Return an event as the first version of the API has it."""
    options = as_object(event.pop("options", None))
    moved = {name: event.pop(member, None) for member, name in _MEMBERS.items()}
    moved |= {name: options.pop(option, None) for option, name in _OPTIONS.items()}
    properties = {**as_object(event.get("properties")), **without_nulls(moved), **client}
    return {**event, "properties": properties, **({"options": options} if options else {})}


def respond(request: Request, outcome: Outcome) -> Reply:
    """Return a result for each event; an error if the request cannot be read."""
    if outcome.results and not outcome.events:
        return accepted_or_error(outcome, Reply())
    results: dict[str, Any] = {
        str(as_object(sent).get("uuid")): {"result": "ok"}
        for sent in batch_of(json_object(unpacked(request.body)).get("batch") or [])
    }
    for result, event in zip(outcome.results, outcome.events, strict=True):
        if result["status"] != "accepted":
            results[str(event.get("event_id"))] = {"result": "drop", "details": result["error"]}
    return json_reply({"results": results})
