"""What happens now at a site: the sum of what its partitions see. Pure.

A session lives in one partition, so events and sessions are added; a visitor may be seen by
several, so visitors are the union of their sketches.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from schemas.live import LATEST_EVENTS, LIVE_MINUTES, LIVE_SECONDS, TOP_NAMES
from schemas.records import LiveCounters, PageCount, ReferrerCount
from schemas.visitor_sketch import estimate

Live = dict[str, Any]


def merge(site_id: str, partials: Iterable[LiveCounters], at_ms: int) -> Live:
    """Return what api.md shows, right for `at_ms`; a site that nobody knows has zeros."""
    known = list(partials)
    return {
        "site_id": site_id,
        "at": iso(at_ms),
        "visitors_now": round(estimate(partial.visitors for partial in known)),
        "sessions_now": sum(partial.sessions for partial in known),
        "events_last_minute": _last_minute(known, at_ms),
        "per_minute": _per_minute(known, at_ms),
        "pages": _top("path", [count for partial in known for count in partial.pages]),
        "referrers": _top("host", [count for partial in known for count in partial.referrers]),
    }


def latest(partials: Iterable[LiveCounters]) -> list[dict[str, str]]:
    """Return the last events of all partitions, the newest first."""
    events = (event for partial in partials for event in partial.latest)
    newest = sorted(events, key=lambda event: (-event.at_ms, event.type, event.detail))
    return [
        {"at": iso(event.at_ms), "type": event.type, "detail": event.detail}
        for event in newest[:LATEST_EVENTS]
    ]


def iso(at_ms: int) -> str:
    """Return a time as answers show it."""
    at = datetime.fromtimestamp(at_ms / 1_000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def same_but_for_time(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return True if two snapshots of one site differ only in their time."""
    return {**one, "at": None} == {**other, "at": None}


def _last_minute(partials: Iterable[LiveCounters], at_ms: int) -> dict[str, int]:
    """Add up the last 60 seconds, the one under way among them.

    What is ahead of our clock by a little has happened all the same.
    """
    over = at_ms // 1_000 - LIVE_SECONDS
    types: Counter[str] = Counter()
    for partial in partials:
        for count in partial.seconds:
            if count.second > over:
                types.update(count.types)
    return dict(sorted(types.items()))


def _per_minute(partials: Iterable[LiveCounters], at_ms: int) -> list[int]:
    last = at_ms // 60_000
    minutes = [0] * LIVE_MINUTES
    for partial in partials:
        for count in partial.minutes:
            place = LIVE_MINUTES - 1 - last + min(count.minute, last)
            if place >= 0:
                minutes[place] += count.events
    return minutes


def _top(name: str, counts: Iterable[PageCount | ReferrerCount]) -> list[dict[str, Any]]:
    sums: Counter[str] = Counter()
    for count in counts:
        sums[count.name] += count.sessions
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return [{name: told, "sessions": sessions} for told, sessions in ordered[:TOP_NAMES]]
