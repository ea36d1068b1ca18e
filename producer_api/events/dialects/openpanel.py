"""OpenPanel: `@openpanel/web`, `@openpanel/sdk` and the SDKs based on it, `openpanel` (PyPI).

Source of the members: https://openpanel.dev/docs/api/track, and the recorded requests.

SDKs before 1.0 have a path for each type of message, which OpenPanel still serves.

The browser SDK counts a changed fragment as a page view, and a page that is restored from the
back/forward cache only if its URL is another one.
"""

from decimal import Decimal, DecimalException
from math import isfinite
from typing import Any

from msgspec.structs import replace

from producer_api.events.dialects.decoding import json_object, json_of, unpacked
from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import (
    Dialect,
    Endpoint,
    Event,
    Outcome,
    Reply,
    accepted_or_error,
    json_reply,
    no_events,
)
from producer_api.events.rejection import Rejected
from producer_api.events.request import Request
from schemas.site_keys import KEY_PREFIX

Members = dict[str, Any]

_ID_HEADER = b"openpanel-client-id"
_SECRET_HEADER = b"openpanel-client-secret"
#: The address of a back end's visitor.
_ADDRESS_HEADER = b"x-client-ip"
#: Reserved properties that have a field of the same meaning.
_FIELDS = {
    "__path": "url",
    "__referrer": "referrer",
    "__title": "title",
    "__timestamp": "timestamp",
    "__ip": "ip",
    "__userAgent": "user_agent",
    # What a page passes to its back end: the id of the session in our replies.
    "__deviceId": "session_id",
}
#: The type of each message; those about profiles identify a visitor.
_KINDS = {
    "track": "custom_event",
    "identify": "identify",
    "increment": "identify",
    "decrement": "identify",
    "alias": "identify",
    "assign_group": "identify",
    "group": "custom_event",
}
_TYPES = {"screen_view": "pageview", "link_out": "external_link"}
#: The type of message of each path of SDKs before 1.0.
_EARLIER = {
    "/event": "track",
    "/profile": "identify",
    "/profile/increment": "increment",
    "/profile/decrement": "decrement",
}
#: Properties of a page view with a field, which OpenPanel reads with and without underscores.
_PAGE = {"path": "url", "title": "title", "referrer": "referrer"}
#: OpenPanel divides every amount by this, whatever the minor unit of the currency is.
_MINOR_UNITS = 100
#: The only error after which the SDKs do not send a request three more times.
_PERMANENT = 401


def has_client_id(request: Request) -> bool:
    """Return True if a request has the header that all SDKs send."""
    return _ID_HEADER in request.headers


def is_openpanel(request: Request) -> bool:
    """Return True if a request to `/track`, which is also Mixpanel's, has OpenPanel's members."""
    if has_client_id(request):
        return True
    try:
        content = unpacked(request.body)
        body = json_of(content) if content.lstrip().startswith(b"{") else None
    except Rejected:
        return False
    return isinstance(body, dict) and body.keys() >= {"type", "payload"}


def translate(request: Request) -> list[Event]:
    """Return the event of a message; none of a part of a session replay."""
    return _events(request, json_object(unpacked(request.body)))


def translate_earlier(request: Request) -> list[Event]:
    """Return the event of a message of SDKs before 1.0."""
    payload = json_object(unpacked(request.body))
    if not isinstance(properties := payload.get("properties"), dict):
        properties = {} if properties is None else {"value": properties}
    for name in ("timestamp", "deviceId"):
        if name in payload:
            properties[f"__{name}"] = payload.pop(name)
    message = {"type": _EARLIER[request.path], "payload": {**payload, "properties": properties}}
    return _events(request, message)


def _events(request: Request, message: Members) -> list[Event]:
    site_id = _site(request, message)
    kind = message.pop("type", None)
    payload = message.pop("payload", None)
    if kind == "replay":
        return []
    if not isinstance(payload, dict):
        (payload, message["payload"]) = ({}, payload)
    if not isinstance(kind, str) or kind not in _KINDS:
        (kind, message["type"]) = ("track", kind)
    event, rest = _event(kind, payload)
    if address := request.header(_ADDRESS_HEADER):
        event.setdefault("ip", address)
    unmapped = {name: value for name, value in (message | rest).items() if value is not None}
    return [{**event, "site_id": site_id, **({UNMAPPED: unmapped} if unmapped else {})}]


def _site(request: Request, message: Members) -> Any:
    """Return the client id, or the secret if it is a site key; neither stays in the message."""
    ids = (request.header(_ID_HEADER), message.pop("clientId", None))
    secrets = (request.header(_SECRET_HEADER), str(message.pop("clientSecret", "")))
    keys = [secret for secret in secrets if secret.startswith(KEY_PREFIX)]
    return next(filter(None, [*keys, *ids]), None)


def _event(kind: str, payload: Members) -> tuple[Event, Members]:
    """Return the event of a payload, and what has no field."""
    properties = payload.pop("properties", None)
    if not isinstance(properties, dict):
        properties = {} if properties is None else {"value": properties}
    reserved = {name: properties.pop(name) for name in list(properties) if name[:2] == "__"}
    event: Event = {"type": _KINDS[kind], "user_id": payload.pop("profileId", None)}
    for name in _FIELDS.keys() & reserved.keys():
        event[_FIELDS[name]] = reserved.pop(name) or None
    if isinstance(identity := reserved.get("__identify"), dict):
        event["user_id"] = event["user_id"] or identity.get("profileId")
    if kind == "track":
        _read_name(event, payload.pop("name", None), properties)
    elif kind != "identify":
        event["event_name"] = kind
        payload = {kind: payload}
    if (amount := _major(reserved.get("__revenue"))) is not None:
        del reserved["__revenue"]
        event |= {"type": "payment", "amount": amount}
        event["currency"] = properties.pop("currency", None)
    # An identity has the same members in both.
    hidden = {
        name: value for name, value in payload.items() if properties.get(name, value) != value
    }
    event["properties"] = {**payload, **properties} or None
    return event, reserved | hidden


def _read_name(event: Event, name: Any, properties: Members) -> None:
    event["type"] = _TYPES.get(str(name), event["type"])
    if event["type"] == "pageview":
        for member, field in _PAGE.items():
            event.setdefault(field, properties.get(member))
    elif event["type"] == "custom_event":
        event["event_name"] = name


def _major(minor: Any) -> float | None:
    """Return an amount of minor units in major ones; None if it is not a number."""
    try:
        major = float(Decimal(str(minor)) / _MINOR_UNITS)
    except DecimalException:
        return None
    return major if isfinite(major) else None


def respond(_: Request, outcome: Outcome) -> Reply:
    """Return the ids that `getDeviceId` and `getSessionId` of the SDKs return: the session's."""
    ids = {"deviceId": outcome.session_id, "sessionId": outcome.session_id}
    reply = accepted_or_error(outcome, json_reply(ids))
    return reply if outcome.is_accepted else replace(reply, status=_PERMANENT)


def respond_earlier(request: Request, outcome: Outcome) -> Reply:
    """Return the id that the SDK sends with its next event."""
    if outcome.is_accepted:
        return Reply(202, outcome.session_id.encode(), "text/plain; charset=utf-8")
    return respond(request, outcome)


OPENPANEL = Dialect(
    "openpanel",
    "OpenPanel",
    (
        Endpoint("/track", translate, respond, matches=is_openpanel),
        *(
            Endpoint(path, translate_earlier, respond_earlier, matches=has_client_id)
            for path in _EARLIER
        ),
        # Earlier SDKs ask for the device before they send events.
        Endpoint("/track/device-id", no_events, respond, methods=("GET",)),
    ),
)
