"""Mixpanel: `mixpanel-browser`, `mixpanel` for Node.js and for Python, and its ingestion API.

A body is JSON, or a form with JSON or base64 in `data`; servers also send `data` in the query of a
GET. Events go to `/track` and `/import`, changes of profiles to `/engage` and `/groups`. Sources:
https://developer.mixpanel.com/reference, the published clients and the recorded requests.

Pages that are hidden send their queue by beacon, and again from the next page, with the same
`$insert_id`. Changes of profiles have no id: those with a time count once.
"""

import re
from typing import Any

from producer_api.events.dialects.decoding import (
    batch_of,
    form,
    json_of,
    json_or_base64,
    member_names,
    unpacked,
)
from producer_api.events.dialects.mixpanel_events import event_of, group_of, profile_of
from producer_api.events.dialects.model import (
    JAVASCRIPT,
    PIXEL,
    Dialect,
    Endpoint,
    Event,
    Outcome,
    Reply,
    json_reply,
    no_events,
)
from producer_api.events.dialects.values import MILLISECOND, iso_time
from producer_api.events.request import Request

_BAD_REQUEST = 400
_OF_JSON = (b"{", b"[")
_NDJSON = b"ndjson"
_VERBOSE = b"&verbose=1&"
#: Such as `mixpanel._jsc['1234']`.
_FUNCTION = re.compile(r"[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*|\[(?:'\w*'|\"\w*\"|\d+)\])*")


def translate_events(request: Request) -> list[Event]:
    """Return the events of a request; raises `Rejected`."""
    # Service accounts name their project, but its events have the token all the same.
    project = request.parameters.get("project_id")
    return [event_of(sent, project, _sent_at(request)) for sent in _updates(request)]


def translate_profiles(request: Request) -> list[Event]:
    """Return an event for each change of a profile; raises `Rejected`."""
    return [profile_of(change, _sent_at(request)) for change in _updates(request)]


def translate_groups(request: Request) -> list[Event]:
    """Return an event for each change of a group; raises `Rejected`."""
    return [group_of(change, _sent_at(request)) for change in _updates(request)]


def _updates(request: Request) -> list[Any]:
    body = unpacked(request.body)
    if _NDJSON in request.headers.get(b"content-type", b""):
        lines = batch_of([line for line in body.splitlines() if line.strip()])
        return [json_of(line) for line in lines]
    if body.lstrip()[:1] in _OF_JSON:
        return batch_of(json_of(body))
    return batch_of(json_or_base64(form(request).get("data", "")))


def _sent_at(request: Request) -> Any:
    return iso_time(request.parameters.get("_"), MILLISECOND)


def is_mixpanel(request: Request) -> bool:
    """Return True unless a request to `/track` is a JSON object that is no event of Mixpanel."""
    return not request.body.lstrip().startswith(b"{") or "event" in member_names(request.body)


def respond(request: Request, outcome: Outcome) -> Reply:
    """Return what `_reply` does, as a script if the request says the name of a function."""
    reply = _reply(request, outcome)
    callback = request.parameters.get("callback", "")
    return _as_script(reply, callback) if callback else reply


def _reply(request: Request, outcome: Outcome) -> Reply:
    """Return 1, or the JSON that says so; of rejected events, the first error.

    The client for Python would raise an exception for an error, in what the site does, and send the
    events again for ever: they count as accepted.
    """
    parameters = request.parameters
    error = next((result for result in outcome.results if result["status"] != "accepted"), None)
    # A form, which is not parsed once more for this.
    if "verbose" not in parameters and _VERBOSE in b"&%b&" % unpacked(request.body):
        return json_reply({"status": 1, "error": error and error["error"]})
    if error:
        status = max(outcome.status, _BAD_REQUEST)
        return json_reply(explain(status, error["code"], error["error"]), status)
    if parameters.get("img") == "1":
        return PIXEL
    if parameters.get("strict") == "1":
        records = {"num_records_imported": len(outcome.results)}
        return json_reply({"code": 200, "status": "OK", **records})
    if parameters.get("verbose") == "1":
        return json_reply({"status": 1, "error": None})
    return Reply(200, b"1", "text/plain; charset=utf-8")


def _as_script(reply: Reply, callback: str) -> Reply:
    """Return a reply as a call of a function (JSONP), for browsers without CORS."""
    if not _FUNCTION.fullmatch(callback):
        return reply
    return Reply(reply.status, b"%s(%s);" % (callback.encode(), reply.body), JAVASCRIPT)


def explain(_: int, __: str, sentence: str) -> dict[str, Any]:
    """Return the JSON of an error. The client for Python raises an exception with its text."""
    return {"status": 0, "error": sentence}


def respond_flags(_: Request, __: Outcome) -> Reply:
    """Return no feature flags."""
    return json_reply({"flags": {}})


def respond_settings(_: Request, __: Outcome) -> Reply:
    """Return no remote settings and no messages; the client keeps the settings of the page."""
    return json_reply({})


def is_of_mixpanel(request: Request) -> bool:
    """Return True if a request for feature flags is not one of PostHog."""
    return not request.parameters.keys().isdisjoint(("mp_lib", "lib"))


def respond_recording(_: Request, __: Outcome) -> Reply:
    """Return that a part of a session recording was accepted, which is not stored."""
    return json_reply({"code": 200, "status": "OK"})


_BOTH = ("GET", "POST")

MIXPANEL = Dialect(
    "mixpanel",
    "Mixpanel",
    (
        Endpoint("/track", translate_events, respond, _BOTH, is_mixpanel, explain),
        Endpoint("/import", translate_events, respond, _BOTH, explain=explain),
        Endpoint("/engage", translate_profiles, respond, _BOTH, explain=explain),
        Endpoint("/groups", translate_groups, respond, _BOTH, explain=explain),
        Endpoint("/record", no_events, respond_recording),
        Endpoint("/flags", no_events, respond_flags, ("GET",), is_of_mixpanel),
        # Messages in the page, of earlier versions.
        Endpoint("/decide", no_events, respond_settings, ("GET",), is_of_mixpanel),
        Endpoint("/settings", no_events, respond_settings, ("GET",), is_of_mixpanel),
    ),
)
