"""Events and their positions, for tests of the rules."""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from schemas.headers import Source
from schemas.records import RawEvent
from streams.domain.sessions.rules import SessionRules

NOON_MS = 1_775_044_800_000
NOON = NOON_MS * 1_000
MINUTE = 60_000_000
HOUR = 60 * MINUTE
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

RULES = SessionRules.of_seconds(gap=1_800, lateness=300, retention=90_000)


def uuid_of(name: object) -> str:
    """Return the UUID of a name."""
    return str(uuid5(NAMESPACE_URL, str(name)))


def event(name: object, **fields: Any) -> RawEvent:
    """Return an event whose id derives from `name`, by default a pageview at noon."""
    given: dict[str, Any] = {
        "event_id": uuid_of(name),
        "type": "pageview",
        "site_id": "shop",
        "session_id": "s-1",
        "event_ts": NOON,
        "time_source": "client",
        "path": "/",
    }
    given |= fields
    return RawEvent(**{"received_at": given["event_ts"], **given})


def source(offset: int, log_ms: int = NOON_MS, partition: int = 0) -> Source:
    """Return a position in `events-raw`."""
    return Source(partition, offset, log_ms)
