"""The eviction order of sites in a full live store. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from schemas.records import LiveCounters

#: The share of sites, and of bytes, for protected sites: the most active ones with events in
#: several minutes. The rest is for new sites.
PROTECTED_SHARE = 0.75
#: Further minutes with events do not increase the rank.
_MAX_MINUTES = 5


class Activity(NamedTuple):
    """The number of minutes with events, at most 5, and the time of the last event (s), or 0."""

    minutes: int
    last_s: int


class Entry(NamedTuple):
    """A site, its activity and the size of its counters in bytes."""

    site_id: str
    activity: Activity
    size: int


def activity_of(counters: LiveCounters) -> Activity:
    """Return the activity of a site in one partition."""
    last_s = max((count.second for count in counters.seconds), default=0)
    last_minute = max((count.minute for count in counters.minutes), default=0)
    return Activity(min(len(counters.minutes), _MAX_MINUTES), last_s or 60 * last_minute)


def eviction_order(
    entries: Iterable[Entry], max_sites: int, max_bytes: int
) -> list[tuple[bool, Entry]]:
    """Return the sites in eviction order, each with whether it is protected."""
    by_activity = sorted(entries, key=lambda entry: entry.activity, reverse=True)
    sites, size = PROTECTED_SHARE * max_sites, PROTECTED_SHARE * max_bytes
    ranked = []
    for entry in by_activity:
        is_protected = entry.activity.minutes > 1 and sites >= 1 and size >= entry.size
        if is_protected:
            sites, size = sites - 1, size - entry.size
        ranked.append((is_protected, entry))
    return sorted(ranked, key=lambda item: (item[0], rank_of(*item)))


def rank_of(is_protected: bool, entry: Entry) -> tuple[bool, tuple[int, int]]:
    """Return the rank of a site. A site can only evict sites of a lower rank."""
    (minutes, last_s) = entry.activity
    return is_protected, (minutes, last_s) if is_protected else (0, last_s)
