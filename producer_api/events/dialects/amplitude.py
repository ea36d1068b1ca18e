"""Amplitude: its SDKs for browsers, Node.js and Python, and its HTTP APIs.

Sources: https://amplitude.com/docs/apis/analytics/http-v2, the APIs `identify`, `group-identify`
and the deprecated `http-v1` next to it, the published clients and the recorded requests. The
clients read the `code` of the body, not only the status. The older APIs take forms, and answer with
a word.
"""

from collections.abc import Mapping
from typing import Any

from producer_api.events.dialects.amplitude_events import event_of, group_of, identification_of
from producer_api.events.dialects.decoding import (
    batch_of,
    form,
    json_object,
    json_of,
    member_names,
    unpacked,
)
from producer_api.events.dialects.model import (
    Dialect,
    Endpoint,
    Event,
    Outcome,
    Reply,
    accepted_or_error,
    json_reply,
)
from producer_api.events.dialects.values import MILLISECOND, iso_time
from producer_api.events.request import Request

_BAD_REQUEST = 400
_SUCCESS = Reply(200, b"success", "text/plain; charset=utf-8")
_INTERNAL_ERROR = 500
_TOO_MANY_REQUESTS = 429
#: The clients wait 30 seconds before they send these again.
_ALL_EVENTS = list(range(2000))


def translate(request: Request) -> list[Event]:
    """Return the events of a request; raises `Rejected`."""
    body = json_object(unpacked(request.body))
    events = batch_of(body.get("events") or [])
    return [event_of(sent, body.get("api_key"), body.get("client_upload_time")) for sent in events]


def translate_form(request: Request) -> list[Event]:
    """Return the events of the first HTTP API, whose names of parameters old SDKs shorten."""
    return [event_of(*listed) for listed in _listed(request, "event", "e")]


def translate_identifications(request: Request) -> list[Event]:
    """Return an event for each change of a user's properties."""
    return [identification_of(sent, key) for sent, key, _ in _listed(request, "identification")]


def translate_groups(request: Request) -> list[Event]:
    """Return an event for each change of a group's properties."""
    return [group_of(sent, key) for sent, key, _ in _listed(request, "identification")]


def _listed(request: Request, *names: str) -> list[tuple[Any, Any, Any]]:
    """Return the objects of a parameter, each with the API key and the time of the upload."""
    body = unpacked(request.body)
    is_json = body.lstrip().startswith(b"{")
    parameters: Mapping[str, Any] = json_object(body) if is_json else form(request)
    listed = next((parameters[name] for name in names if name in parameters), None)
    if isinstance(listed, str):
        listed = json_of(listed.encode("utf-8", "surrogatepass"))
    key = parameters.get("api_key") or parameters.get("client")
    uploaded_at = iso_time(parameters.get("upload_time"), MILLISECOND)
    return [(sent, key, uploaded_at) for sent in batch_of([] if listed is None else listed)]


def respond_with_a_word(_: Request, outcome: Outcome) -> Reply:
    """Return the response of the older APIs."""
    return accepted_or_error(outcome, _SUCCESS)


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


_BOTH = ("GET", "POST")

AMPLITUDE = Dialect(
    "amplitude",
    "Amplitude",
    (
        Endpoint("/2/httpapi", translate, respond, explain=explain),
        Endpoint("/batch", translate, respond, matches=is_amplitude_batch, explain=explain),
        Endpoint("/httpapi", translate_form, respond_with_a_word, _BOTH),
        Endpoint("/identify", translate_identifications, respond_with_a_word, _BOTH),
        Endpoint("/groupidentify", translate_groups, respond_with_a_word, _BOTH),
    ),
)
