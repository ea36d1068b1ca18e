"""Which sites a full board evicts first. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from schemas.records import LiveCounters

#: Sites that are protected from newcomers, and their share of the bytes: of those with events
#: in several minutes, the ones with most. The other quarter is reserved for newcomers.
PROTECTED_SHARE = 0.75
#: Minutes with events beyond which a site is protected no better.
_ENOUGH_MINUTES = 5


class Activity(NamedTuple):
    """Minutes with events, at most 5, and the time of the last event (s), 0 for none."""

    minutes: int
    last_s: int


class Entry(NamedTuple):
    """A site with its activity and the bytes of its counters."""

    site_id: str
    activity: Activity
    size: int


def activity_of(counters: LiveCounters) -> Activity:
    """Return the activity of counters."""
    last_s = max((one.second for one in counters.seconds), default=0)
    last_minute = max((one.minute for one in counters.minutes), default=0)
    return Activity(min(len(counters.minutes), _ENOUGH_MINUTES), last_s or 60 * last_minute)


def eviction_order(
    entries: Iterable[Entry], max_sites: int, max_bytes: int
) -> list[tuple[bool, Entry]]:
    """Return the sites in the order in which they are evicted, with whether each is protected."""
    by_activity = sorted(entries, key=lambda entry: entry.activity, reverse=True)
    sites, size = PROTECTED_SHARE * max_sites, PROTECTED_SHARE * max_bytes
    ranked = []
    for entry in by_activity:
        is_protected = entry.activity.minutes > 1 and sites >= 1 and size >= entry.size
        if is_protected:
            sites, size = sites - 1, size - entry.size
        ranked.append((is_protected, entry))
    return sorted(ranked, key=lambda one: (one[0], rank_of(*one)))


def rank_of(is_protected: bool, entry: Entry) -> tuple[bool, tuple[int, int]]:
    """Return what decides between two sites: of equals, the one that is there stays."""
    (minutes, last_s) = entry.activity
    return is_protected, (minutes, last_s) if is_protected else (0, last_s)
