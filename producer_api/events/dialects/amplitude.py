"""Amplitude: its SDKs for browsers, Node.js and Python, and its HTTP API V2.

Sources: https://amplitude.com/docs/apis/analytics/http-v2, the published clients and the recorded
requests. The clients read the `code` of the body, not only the status.
"""

from typing import Any

from producer_api.events.dialects.amplitude_events import event_of
from producer_api.events.dialects.decoding import batch_of, json_object, member_names, unpacked
from producer_api.events.dialects.model import (
    Dialect,
    Endpoint,
    Event,
    Outcome,
    Reply,
    json_reply,
)
from producer_api.events.request import Request

_BAD_REQUEST = 400
_INTERNAL_ERROR = 500
_TOO_MANY_REQUESTS = 429
#: The clients wait 30 seconds before they send these again.
_ALL_EVENTS = list(range(1000))


def translate(request: Request) -> list[Event]:
    """Return the events of a request; raises `Rejected`."""
    body = json_object(unpacked(request.body))
    events = batch_of(body.get("events") or [])
    return [event_of(sent, body.get("api_key"), body.get("client_upload_time")) for sent in events]


def is_amplitude_batch(request: Request) -> bool:
    """Return True if a request to `/batch` is one of Amplitude."""
    return "events" in member_names(request.body)


def respond(request: Request, outcome: Outcome) -> Reply:
    """Return the response of the HTTP API.

    It is an error only if all events were rejected: the clients send those again that an error
    does not name.
    """
    rejected = [result for result in outcome.results if result["status"] != "accepted"]
    if rejected and len(rejected) == len(outcome.results):
        status = max(outcome.status, _BAD_REQUEST)
        return json_reply(explain(status, rejected[0]["code"], rejected[0]["error"]), status)
    return json_reply(
        {
            "code": 200,
            "events_ingested": len(outcome.results) - len(rejected),
            "payload_size_bytes": len(request.body),
        }
    )


def explain(status: int, _: str, sentence: str) -> dict[str, Any]:
    """Return the JSON of an error: the clients drop events that will not be accepted later."""
    error: dict[str, Any] = {"code": status, "error": sentence}
    if status == _TOO_MANY_REQUESTS:
        error["throttled_events"] = _ALL_EVENTS
    elif status < _INTERNAL_ERROR:
        error["missing_field"] = "api_key"  # that one is missing makes them drop all
    return error


AMPLITUDE = Dialect(
    "amplitude",
    "Amplitude",
    (
        Endpoint("/2/httpapi", translate, respond, explain=explain),
        Endpoint("/batch", translate, respond, matches=is_amplitude_batch, explain=explain),
    ),
)
