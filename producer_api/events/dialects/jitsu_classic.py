"""Jitsu before version 2: `@jitsu/sdk-js`, in browsers and in Node, at `/api/v1`.

A body is an event, or a list of them; all that the site says is a member of the event itself. The
token of the query, or the key of the event, is the site. Source: the published client.
"""

from typing import Any

from producer_api.events.dialects.decoding import batch_of, json_of, unpacked
from producer_api.events.dialects.members import (
    as_object,
    payment_of,
    pop_fields,
    pop_members,
    unmapped,
)
from producer_api.events.dialects.model import Event
from producer_api.events.dialects.values import size
from producer_api.events.request import Request

PATHS = ("/api/v1/event", "/api/v1/s2s/event")
_TOKEN_HEADER = b"x-auth-token"
_TYPES = {
    "pageview": "pageview",
    "page": "pageview",
    "app_page": "pageview",
    "user_identify": "identify",
    "identify": "identify",
}
_FIELDS = {
    "event_id": "event_id",
    "utc_time": "timestamp",
    "url": "url",
    "page_title": "title",
    "referer": "referrer",
    "user_agent": "user_agent",
    "user_language": "language",
    "source_ip": "ip",
    "utm": "utm",
    "click_id": "ad_click_ids",
}
_SIZES = (("screen_resolution", ""), ("vp_size", "viewport_"))
#: What the client says about itself and the page, next to what has a field.
_OF_THE_CLIENT = (
    *("src", "local_tz_offset", "doc_encoding", "doc_host", "doc_path", "doc_search"),
    *("screen_resolution", "vp_size", "_dropped", "retry"),
)


def translate(request: Request) -> list[Event]:
    """Return the events of a request; raises `Rejected`."""
    token = request.parameters.get("token") or request.header(_TOKEN_HEADER)
    return [_event(sent, token) for sent in batch_of(json_of(unpacked(request.body)))]


def _event(sent: Any, token: str) -> Event:
    members = as_object(sent)
    name = str(members.pop("event_type", ""))
    kind = _TYPES.get(name, "custom_event")
    user = as_object(members.pop("user", None))
    key = members.pop("api_key", None)
    event: Event = {
        "type": kind,
        "site_id": token or key,
        "visitor_id": user.pop("anonymous_id", None) or None,
        "user_id": user.pop("id", None),
        **{field: value for field, value in pop_fields(members, _FIELDS).items() if value},
    }
    screen: dict[str, int] = {}
    for member, prefix in _SIZES:
        if pixels := size(members.get(member)):
            del members[member]
            screen |= {f"{prefix}width": pixels[0], f"{prefix}height": pixels[1]}
    if screen:
        event["screen"] = screen
    if kind == "custom_event":
        event |= {"event_name": name, **payment_of(name, members)}
    of_client = pop_members(members, _OF_THE_CLIENT)
    # Ids of the visitor in other systems. Traits in `extra` are dropped if the visitor opts out.
    traits = members.pop("ids", None) or {}
    if kind == "identify":
        members = {**user, **members}
    else:
        traits = {**user, **as_object(traits)}
    return {**event, "properties": members, **unmapped(of_client, {"traits": traits or None})}
