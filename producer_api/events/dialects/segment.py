"""Segment: `@segment/analytics-next`, `@segment/analytics-node`, `segment-analytics-python`.

Its other libraries for apps and servers send the same messages. The write key is the site, or a
site key. analytics-next sends nothing before it has its settings, which name the host for events.
It counts the pages that the site calls `page()` for: restores from the back/forward cache are none.
"""

from contextlib import suppress
from typing import Any

from producer_api.events.dialects.decoding import (
    batch_of,
    from_base64,
    json_object,
    json_or_base64,
    unpacked,
)
from producer_api.events.dialects.model import (
    PIXEL,
    Dialect,
    Endpoint,
    Event,
    Outcome,
    Reply,
    accepted_or_error,
    json_reply,
    no_events,
    script_error,
)
from producer_api.events.dialects.segment_schema import event_of
from producer_api.events.rejection import Rejected
from producer_api.events.request import Request
from schemas.site_keys import KEY_PREFIX

#: The types of messages, by the last segment of the path.
_KINDS = {
    kind: kind for kind in ("page", "track", "identify", "group", "alias", "screen", "merge")
} | {"p": "page", "t": "track", "i": "identify", "g": "group", "a": "alias", "s": "screen"}
#: The paths of the HTTP API, of which the letters are those of the clients of browsers and apps.
PATHS = tuple(f"/v1/{name}" for name in (*_KINDS, "b", "batch", "import"))
#: Members of a batch that are those of each of its messages, unless these have their own.
_SHARED = ("sentAt", "integrations")
_NO_SCRIPT = (
    "headrace does not serve Segment's programs. Install the package @segment/analytics-next, or "
    "serve a copy of this file at this path"
)
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_BASIC = "basic "
#: The parameters of the query with a write key; Jitsu's is in lower case.
_KEYS = ("writeKey", "writekey")


def translate(request: Request) -> list[Event]:
    """Return the events of a message, or of a batch."""
    return _events(request, json_object(unpacked(request.body)))


def _events(request: Request, body: dict[str, Any]) -> list[Event]:
    kind = _KINDS.get(request.path.rpartition("/")[2], "")
    batch = body.get("batch")
    messages = (
        [_with_shared(body, item) for item in batch_of(batch)]
        if isinstance(batch, list)
        else [body]
    )
    key = write_key(request)
    events = []
    for message in messages:
        site = key or message.get("writeKey") or body.get("writeKey") or ""
        events.append({**event_of(message, kind), "site_id": site_of(str(site))})
    return events


def _with_shared(body: dict[str, Any], item: Any) -> dict[str, Any]:
    """Return a message of a batch, with the members that the batch has for all messages."""
    if not isinstance(item, dict):
        return {"message": item}  # rejected, because it has no type
    message = {name: body[name] for name in _SHARED if name in body} | item
    if isinstance(context := body.get("context"), dict):
        own = message.get("context")
        message["context"] = {**context, **own} if isinstance(own, dict) else context
    return message


def write_key(request: Request) -> str:
    """Return the write key of the headers or of the query, "" if there is none."""
    if key := request.headers.get(b"x-write-key", b"").decode("latin-1"):
        return key
    authorization = request.headers.get(b"authorization", b"").decode("latin-1")
    if authorization[: len(_BASIC)].lower() == _BASIC:
        with suppress(Rejected):
            return from_base64(authorization[len(_BASIC) :]).decode(errors="replace")
    return next((request.parameters[name] for name in _KEYS if name in request.parameters), "")


def site_of(key: str) -> str:
    """Return the site that a write key names: its part before a colon, or a site key after it.

    In Basic authentication the key is followed by a colon.
    """
    (name, _, secret) = key.strip().removesuffix(":").partition(":")
    return secret if secret.startswith(KEY_PREFIX) else name


def translate_pixel(request: Request) -> list[Event]:
    """Return the event of an image's URL: a message as base64, or its members one by one."""
    body = {name: value for name, value in request.parameters.items() if name not in _KEYS}
    if data := body.pop("data", ""):
        message = json_or_base64(data)
        body |= message if isinstance(message, dict) else {"message": message}
    return _events(request, body)


def respond_pixel(_request: Request, _outcome: Outcome) -> Reply:
    """Return an image, also to rejected events."""
    return PIXEL


def respond(_: Request, outcome: Outcome) -> Reply:
    """Return an error if all events were rejected: the clients report it, and do not retry."""
    rejected = [result for result in outcome.results if result["status"] != "accepted"]
    if rejected and len(rejected) == len(outcome.results):
        return accepted_or_error(outcome, json_reply({"success": False}))
    return json_reply({"success": True, **errors(outcome)})


def errors(outcome: Outcome) -> dict[str, Any]:
    """Return how many events were rejected, and why the first one was; {} if none was."""
    rejected = [result for result in outcome.results if result["status"] != "accepted"]
    if not rejected:
        return {}
    return {
        "rejected": len(rejected),
        "error": rejected[0]["error"],
        "code": rejected[0]["code"],
    }


def _respond_settings(request: Request, _: Outcome) -> Reply:
    """Return what analytics-next needs to start: the destination of events, and no others."""
    key = request.path.split("/")[3]
    host = request.headers.get(b"host", b"").decode("latin-1")
    destination = {"apiKey": key, "apiHost": f"{host}/v1", "addBundledMetadata": True}
    if host.rpartition(":")[0] in _LOOPBACK or host in _LOOPBACK:
        destination["protocol"] = "http"
    enabled = {"__default": {"enabled": True}}
    return json_reply(
        {
            "integrations": {"Segment.io": destination},
            "plan": {"track": enabled, "identify": enabled, "group": enabled},
            "edgeFunction": {},
            "analyticsNextEnabled": True,
            "middlewareSettings": {},
            "enabledMiddleware": {},
            "metrics": {"sampleRate": 0},
            "legacyVideoPluginsEnabled": False,
            "remotePlugins": [],
        }
    )


def _respond_script(_: Request, __: Outcome) -> Reply:
    return script_error(_NO_SCRIPT)


SEGMENT = Dialect(
    "segment",
    "Segment",
    (
        *(Endpoint(path, translate, respond) for path in PATHS),
        Endpoint("/v1/pixel/{kind}", translate_pixel, respond_pixel, ("GET",)),
        Endpoint("/v1/projects/{key}/settings", no_events, _respond_settings, ("GET",)),
        Endpoint("/analytics.js/v1/{key}/{name}", no_events, _respond_script, ("GET",)),
        # Measurements of the client about itself, which the settings turn off.
        Endpoint("/v1/m", no_events, respond),
    ),
)
