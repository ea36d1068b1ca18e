"""RudderStack: `@rudderstack/analytics-js`, `@rudderstack/rudder-sdk-node`, `rudder-sdk-python`.

They send the messages of Segment to the same paths; members that only one of them has distinguish
the two. analytics-js sends nothing before it has its source configuration. Its sessions are the
milliseconds of their start. "Page Unloaded" has the time since the page was loaded, also hidden.

A rejection is answered with 200: rudder-sdk-node ends its process at a 4xx, and rudder-sdk-python
repeats the request ten times, because it looks for members that only RudderStack's errors have.
"""

from producer_api.events.dialects import segment
from producer_api.events.dialects.decoding import unpacked
from producer_api.events.dialects.model import (
    Dialect,
    Endpoint,
    Event,
    Outcome,
    Reply,
    json_reply,
    no_events,
)
from producer_api.events.request import Request

#: The referrer of a page that has none.
_DIRECT = "$direct"
#: The category of page views that the client reports of itself: that it detects a blocker of
#: advertisements (`sendAdblockPage`).
_OF_THE_CLIENT = "RudderJS-Initiated"
_UPDATED_AT = "2026-01-01T00:00:00.000Z"


def is_rudderstack(request: Request) -> bool:
    """Return True if a request to a path of Segment is one of RudderStack's clients."""
    if b"anonymousid" in request.headers:
        return True
    body = unpacked(request.body)
    if b'"originalTimestamp"' in body:
        return True
    return b'"channel"' in body and b'"writeKey"' not in body  # rudder-sdk-python


def translate(request: Request) -> list[Event]:
    """Return the events of a message, or of a batch."""
    return [_refine(event) for event in segment.translate(request)]


def _refine(event: Event) -> Event:
    if event.get("referrer") == _DIRECT:
        event["referrer"] = None
    properties = event.get("properties") or {}
    if event.get("event_name") == "Page Unloaded" and "timeOnPage" in properties:
        event |= {"type": "pageleave", "event_name": None, "duration": properties.pop("timeOnPage")}
        event["properties"] = properties or None
    if event.get("type") == "pageview" and properties.get("category") == _OF_THE_CLIENT:
        event |= {"type": "custom_event", "event_name": properties.pop("name", None), "path": None}
    return event


def respond(_: Request, outcome: Outcome) -> Reply:
    """Return success, also for rejected events, and say which error there was."""
    return json_reply({"success": outcome.is_accepted, **segment.errors(outcome)})


def _respond_configuration(request: Request, _: Outcome) -> Reply:
    """Return a source without destinations, which is what analytics-js needs to start."""
    site = segment.site_of(segment.write_key(request))
    off = {"enabled": False}
    source = {
        "id": site,
        "name": site,
        "writeKey": site,
        "workspaceId": site,
        "enabled": True,
        "config": {"statsCollection": {"errors": off, "metrics": off}},
        "destinations": [],
        "connections": [],
        "dataplanes": {},
        "updatedAt": _UPDATED_AT,
    }
    return json_reply({"source": source, "updatedAt": _UPDATED_AT})


RUDDERSTACK = Dialect(
    "rudderstack",
    "RudderStack",
    (
        *(Endpoint(path, translate, respond, matches=is_rudderstack) for path in segment.PATHS),
        Endpoint("/beacon/v1/batch", translate, respond),
        Endpoint("/pixel/v1/{kind}", segment.translate_pixel, segment.respond_pixel, ("GET",)),
        # By HEAD the client detects blockers of advertisements.
        Endpoint("/sourceConfig", no_events, _respond_configuration, ("GET", "HEAD")),
    ),
)
