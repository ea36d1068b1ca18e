"""Merges the live counters of a site's partitions. Pure.

A session is in one partition, so events and sessions are summed. A visitor can be in several, so
visitors are counted by the union of their sketches.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from schemas.live import LATEST_EVENTS, LIVE_MINUTES, LIVE_SECONDS, TOP_NAMES
from schemas.records import (
    CountryCount,
    DeviceCount,
    LiveCounters,
    PageCount,
    ReferrerCount,
    SourceCount,
)
from schemas.visitor_sketch import estimate

Live = dict[str, Any]
_NameCount = PageCount | ReferrerCount | CountryCount | DeviceCount | SourceCount


def merge(site_id: str, partials: Iterable[LiveCounters], at_ms: int) -> Live:
    """Return the live counters of a site at `at_ms`; all are zero without partial aggregates."""
    partials = list(partials)
    return {
        "site_id": site_id,
        "at": iso(at_ms),
        "visitors_now": round(estimate(partial.visitors for partial in partials)),
        "sessions_now": sum(partial.sessions for partial in partials),
        "events_last_minute": _last_minute(partials, at_ms),
        "per_minute": _per_minute(partials, at_ms),
        "pages": _top("path", [count for partial in partials for count in partial.pages]),
        "referrers": _top("host", [count for partial in partials for count in partial.referrers]),
        "countries": _top("country", [one for partial in partials for one in partial.countries]),
        "devices": _top("device", [one for partial in partials for one in partial.devices]),
        "sources": _top("source", [one for partial in partials for one in partial.sources]),
    }


def latest(partials: Iterable[LiveCounters]) -> list[dict[str, str]]:
    """Return the latest events of all partitions, newest first."""
    events = (event for partial in partials for event in partial.latest)
    newest = sorted(events, key=lambda event: (-event.at_ms, event.type, event.detail))
    return [
        {"at": iso(event.at_ms), "type": event.type, "detail": event.detail}
        for event in newest[:LATEST_EVENTS]
    ]


def iso(at_ms: int) -> str:
    """Return a time in ISO 8601 with milliseconds."""
    at = datetime.fromtimestamp(at_ms / 1_000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def equal_except_time(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Return True if two snapshots of a site differ only in `at`."""
    return {**left, "at": None} == {**right, "at": None}


def _last_minute(partials: Iterable[LiveCounters], at_ms: int) -> dict[str, int]:
    """Return the events of the last 60 seconds by type.

    Seconds after `at_ms` are included, because the clocks of workers may differ.
    """
    last_expired = at_ms // 1_000 - LIVE_SECONDS
    types: Counter[str] = Counter()
    for partial in partials:
        for count in partial.seconds:
            if count.second > last_expired:
                types.update(count.types)
    return dict(sorted(types.items()))


def _per_minute(partials: Iterable[LiveCounters], at_ms: int) -> list[int]:
    last = at_ms // 60_000
    minutes = [0] * LIVE_MINUTES
    for partial in partials:
        for count in partial.minutes:
            index = LIVE_MINUTES - 1 - last + min(count.minute, last)
            if index >= 0:
                minutes[index] += count.events
    return minutes


def _top(key: str, counts: Iterable[_NameCount]) -> list[dict[str, Any]]:
    sums: Counter[str] = Counter()
    for count in counts:
        sums[count.name] += count.sessions
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return [{key: name, "sessions": sessions} for name, sessions in ordered[:TOP_NAMES]]
