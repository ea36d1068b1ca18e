"""Snowplow: the trackers for browsers, Node.js, Python and apps, by POST and by GET.

Sources of the parameters: https://docs.snowplow.io/docs/events/going-deeper/event-parameters, the
published trackers, and the recorded requests. The browser tracker counts the views that the site's
code reports: none for a page that the browser restores (bfcache), for the hash, or for
`history.back()`.
"""

from msgspec.structs import replace

from producer_api.events.dialects.decoding import batch_of, json_object, unpacked
from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import (
    PIXEL,
    Dialect,
    Endpoint,
    Event,
    Outcome,
    Reply,
    accepted_or_error,
    json_reply,
)
from producer_api.events.dialects.snowplow_events import events_of, with_orders
from producer_api.events.rejection import Rejected
from producer_api.events.request import Request

_PAYLOAD = "/payload_data/"
_OK = json_reply({"status": "ok"})
_BAD_REQUEST = 400
#: The errors after which trackers do not send a batch again.
_FINAL = frozenset({_BAD_REQUEST, 401, 403, 410, 422})


def is_payload(request: Request) -> bool:
    """Return True if a body is a batch of events, whose path the site may choose (`postPath`)."""
    try:
        body = json_object(unpacked(request.body))
    except Rejected:
        return False
    return _PAYLOAD in str(body.get("schema"))


def is_pixel(request: Request) -> bool:
    """Return True if the query is an event; Countly's clients use the same path."""
    return "e" in request.parameters and "app_key" not in request.parameters


def translate(request: Request) -> list[Event]:
    """Return the events of a batch, or of a query; parameters in the query of a batch win."""
    if request.method == "GET":
        rows = [request.parameters] if request.parameters else []
    else:
        rows = with_orders(batch_of(json_object(unpacked(request.body)).get("data") or []))
    events = [event for row in rows for event in events_of(row, request.parameters)]
    if b"sp-anonymous" in request.headers:
        return [{**event, UNMAPPED: {**event[UNMAPPED], "anonymous": True}} for event in events]
    return events


def respond(request: Request, outcome: Outcome) -> Reply:
    """Return the response of a collector; after that to a rejection, no tracker sends again."""
    if outcome.is_accepted:
        return PIXEL if request.method == "GET" else _OK
    error = accepted_or_error(outcome, _OK)
    return error if error.status in _FINAL else replace(error, status=_BAD_REQUEST)


SNOWPLOW = Dialect(
    "snowplow",
    "Snowplow",
    (
        Endpoint("/com.snowplowanalytics.snowplow/tp2", translate, respond, ("GET", "POST")),
        Endpoint("/i", translate, respond, ("GET",), is_pixel),
        Endpoint("/{tld}.{vendor}/{version}", translate, respond, matches=is_payload),
    ),
)
