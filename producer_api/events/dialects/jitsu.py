"""Jitsu: `@jitsu/js`, in browsers and in Node.

It sends the messages of Segment, one per request. Its write key is a key and a secret, separated by
a colon, without which the client does not start: the site is the key, and the secret may be a site
key. It counts the pages that the site calls `page()` for. Failed requests are not sent again.
"""

from producer_api.events.dialects import jitsu_classic, segment
from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import (
    Dialect,
    Endpoint,
    Event,
    Outcome,
    Reply,
    accepted_or_error,
    json_reply,
)
from producer_api.events.request import Request

#: The fragment of the URL and the size of the viewport, which is in the context, too.
_ADDED = ("hash", "width", "height")


def is_jitsu(request: Request) -> bool:
    """Return True if a request to a path of Segment is one of Jitsu's clients."""
    return b"x-write-key" in request.headers


def translate(request: Request) -> list[Event]:
    """Return the events of a message, or of a batch."""
    return [_refine(event) for event in segment.translate(request)]


def _refine(event: Event) -> Event:
    """Move what the client adds to the properties of a page."""
    properties = event.get("properties") or {}
    if event.get("type") == "pageview":
        added = {name: properties.pop(name) for name in _ADDED if name in properties}
        event["properties"] = properties or None
        event[UNMAPPED] = {**event.get(UNMAPPED, {}), **added}
    return event


def respond(_: Request, outcome: Outcome) -> Reply:
    """Return success, or the error of the first rejected event, which the client logs."""
    return accepted_or_error(outcome, json_reply({"status": "ok"}))


JITSU = Dialect(
    "jitsu",
    "Jitsu",
    (
        *(Endpoint(path, translate, respond, matches=is_jitsu) for path in segment.PATHS),
        Endpoint("/api/px/{kind}", segment.translate_pixel, segment.respond_pixel, ("GET",)),
        Endpoint("/api/s/{kind}", translate, respond),
        Endpoint("/api/s/s2s/{kind}", translate, respond),
        *(Endpoint(path, jitsu_classic.translate, respond) for path in jitsu_classic.PATHS),
    ),
)
