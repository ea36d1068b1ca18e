"""The events of the benchmarks in the formats of other systems' clients."""

from collections.abc import Callable
from typing import Any, NamedTuple

Event = dict[str, Any]


class Format(NamedTuple):
    """The format of a client: its paths, and functions that write an event and a batch of them."""

    path: str
    write: Callable[[Event], Event]
    batch_path: str = ""
    write_batch: Callable[[list[Event]], Any] = list


def _plausible(event: Event) -> Event:
    written = {
        "n": event["type"],
        "v": 36,
        "u": event["url"],
        "d": event["site_id"],
        "r": event.get("referrer"),
    }
    return written if event["type"] == "pageview" else {**written, "p": event.get("properties")}


def _segment(event: Event) -> Event:
    page = {name: event.get(name) for name in ("path", "referrer", "title", "url")}
    return {
        "type": "page" if event["type"] == "pageview" else "track",
        "event": event.get("event_name", event["type"]),
        "anonymousId": event["visitor_id"],
        "messageId": event["event_id"],
        "timestamp": event["timestamp"],
        "properties": {**event.get("properties", {}), **page},
        "context": {
            "page": page,
            "userAgent": event["user_agent"],
            "locale": event["language"],
            "library": {"name": "analytics.js", "version": "npm:next-1.84.3"},
        },
    }


def _segment_batch(events: list[Event]) -> Event:
    return {"batch": events, "writeKey": "shop", "sentAt": events[-1]["timestamp"]}


FORMATS = {
    "native": Format("/api/event", dict, "/api/events"),
    "plausible": Format("/api/event", _plausible),
    "segment": Format("/v1/track", _segment, "/v1/batch", _segment_batch),
}
