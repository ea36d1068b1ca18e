"""The live counters of all sites in memory: the newest ones of each site and partition.

The counters of one partition are called partial: those of a site are the sum over its partitions.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from query_api import live
from query_api.live import Live
from query_api.live_eviction import Activity, Entry, activity_of, eviction_order, rank_of
from schemas.codec import decode
from schemas.live import STALLED_SECONDS
from schemas.records import LiveCounters
from schemas.visitor_sketch import estimate

#: Partial counters that were not replaced for this long expire.
PARTIAL_TTL_MS = 45_000
#: Capacity, in sites and bytes. The least active sites are evicted.
MAX_SITES = 10_000
MAX_BYTES = 128 * 1024 * 1024

_EXPIRE_EVERY_MS = 5_000
#: 1/50 of the sites, or bytes, is evicted at a time, because each eviction compares all sites.
_EVICTED_SHARE = 50


class _Partial(NamedTuple):
    """Encoded counters of one partition, which take a fraction of the memory of decoded ones."""

    at_ms: int
    message: bytes
    activity: Activity
    #: The log time of the newest event; 0 without one.
    newest_ms: int


class LiveStore:
    """Stores live counters up to a capacity in sites and bytes. `now_ms` is the clock for expiry.

    Sites with events in one minute only cannot evict sites with events in several minutes. Among
    themselves, those with the latest events remain, so that a flood of invented sites cannot lock
    out a site that becomes active.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self._sites: dict[str, dict[int, _Partial]] = {}
        #: For each partition, the time (ms) until which its counters are complete.
        self._complete_until: dict[int, int] = {}
        #: The partitions of the topic; None while the existing records are being loaded.
        self._partitions: Collection[int] | None = ()
        self._started_ms = 0
        self._bytes = 0
        self._expired_ms = 0
        #: While the store is full, sites up to this rank are not admitted.
        self._min_rank = rank_of(False, Entry("", Activity(0, 0), 0))
        #: The number of messages that were not stored, for lack of capacity.
        self.rejected = 0

    @property
    def size(self) -> int:
        """The number of sites."""
        return len(self._sites)

    @property
    def size_bytes(self) -> int:
        """The size of all counters in bytes."""
        return self._bytes

    def put(self, message: bytes, at_ms: int) -> None:
        """Store encoded counters with the timestamp `at_ms`. Raise `ValueError` if malformed."""
        counters = decode(message, LiveCounters)
        estimate([counters.visitors])  # raises for a malformed sketch
        site_id, partition = counters.site_id, counters.partition
        self._expire()
        old = self._sites.get(site_id, {}).get(partition)
        newest_ms = max((event.at_ms for event in counters.latest), default=0)
        partial = _Partial(at_ms, message, activity_of(counters), newest_ms)
        growth = len(message) - (len(old.message) if old else 0)
        if not self._fits(site_id, growth) and not self._evict_for(site_id, partial, growth):
            self.rejected += 1
            return
        self._bytes += growth
        self._sites.setdefault(site_id, {})[partition] = partial

    def _fits(self, site_id: str, growth: int) -> bool:
        sites = len(self._sites) + (site_id not in self._sites)
        return sites <= MAX_SITES and self._bytes + growth <= MAX_BYTES

    def _evict_for(self, site_id: str, partial: _Partial, growth: int) -> bool:
        """Evict sites of a lower rank than `site_id`. Return False if it still does not fit."""
        own = self._entry(site_id, [*self._sites.get(site_id, {}).values(), partial])
        if own.activity.minutes <= 1 and rank_of(False, own) <= self._min_rank:
            return False
        others = (
            self._entry(name, partials.values())
            for name, partials in self._sites.items()
            if name != site_id
        )
        order = eviction_order([own, *others], MAX_SITES, MAX_BYTES)
        own_rank = next(rank_of(*ranked) for ranked in order if ranked[1] is own)
        target_sites = MAX_SITES - MAX_SITES // _EVICTED_SHARE
        target_bytes = MAX_BYTES - MAX_BYTES // _EVICTED_SHARE
        for is_protected, entry in order:
            rank = rank_of(is_protected, entry)
            if not is_protected:
                self._min_rank = rank
            is_done = len(self._sites) < target_sites and self._bytes + growth <= target_bytes
            if is_done or rank >= own_rank:
                break
            self._bytes -= entry.size
            del self._sites[entry.site_id]
        return self._fits(site_id, growth)

    def _entry(self, site_id: str, partials: Iterable[_Partial]) -> Entry:
        partials = list(partials)
        (minutes, last_s) = zip(*(partial.activity for partial in partials), strict=True)
        size = sum(len(partial.message) for partial in partials)
        return Entry(site_id, Activity(max(minutes), max(last_s)), size)

    def begin_load(self) -> None:
        """Mark the store as incomplete. Must be called before the first `put`."""
        self._partitions, self._started_ms = None, self.now_ms()

    def finish_load(self, partitions: Collection[int]) -> None:
        """Mark the existing records of all partitions as loaded."""
        self._partitions = partitions

    def update_completeness(self, ages_ms: Mapping[int, int], at_ms: int) -> None:
        """Apply a report with the record timestamp `at_ms` (`schemas.headers.unpack_counted`)."""
        for partition, age_ms in ages_ms.items():
            until_ms = min(at_ms, self.now_ms()) - age_ms
            previous_ms = self._complete_until.get(partition, 0)
            self._complete_until[partition] = max(until_ms, previous_ms)

    def snapshot(self, site_id: str, *, latest: bool = False) -> Live:
        """Return the live counters of a site, with the latest events if `latest`.

        If the counters are not up to date, `stalled_since` is the time until which they are
        complete. Otherwise it is None with `latest`, and absent without.
        """
        now_ms = self.now_ms()
        partials = self._fresh(site_id, now_ms)
        snapshot = live.merge(site_id, partials, now_ms)
        stalled_since = self._stalled_since(now_ms)
        if latest:
            snapshot["latest"] = live.latest(partials)
        if latest or stalled_since:
            snapshot["stalled_since"] = stalled_since
        return snapshot

    def _stalled_since(self, now_ms: int) -> str | None:
        """Return the time until which the counters of all partitions are complete; None if recent.

        Any partition can have sessions of the site. A partition without a report is complete until
        the start of this process.
        """
        if self._partitions is None:
            return live.iso(min(self._complete_until.values(), default=self._started_ms))
        times = [self._complete_until.get(one, self._started_ms) for one in self._partitions]
        all_reported = self._complete_until.keys() >= set(self._partitions)
        until_ms = min(times, default=now_ms)
        if all_reported and now_ms - until_ms < STALLED_SECONDS * 1_000:
            return None
        return live.iso(until_ms)

    def newest_ms(self, site_id: str) -> int:
        """Return the log time (ms) of the newest event of a site; 0 if it has no counters."""
        partials = self._sites.get(site_id, {}).values()
        return max((partial.newest_ms for partial in partials), default=0)

    def sites(self, limit: int, after: str = "") -> list[str]:
        """Return the active sites by name, after `after`."""
        self._expire()
        return sorted(name for name in self._sites if name > after)[:limit]

    def _fresh(self, site_id: str, now_ms: int) -> list[LiveCounters]:
        partials = self._sites.get(site_id, {}).values()
        return [
            decode(partial.message, LiveCounters)
            for partial in partials
            if now_ms - partial.at_ms < PARTIAL_TTL_MS
        ]

    def _expire(self) -> None:
        """Remove expired counters, at most every few seconds."""
        now_ms = self.now_ms()
        if now_ms - self._expired_ms < _EXPIRE_EVERY_MS:
            return
        self._expired_ms = now_ms
        for site_id, partials in list(self._sites.items()):
            for partition, partial in list(partials.items()):
                if now_ms - partial.at_ms >= PARTIAL_TTL_MS:
                    del partials[partition]
                    self._bytes -= len(partial.message)
            if not partials:
                del self._sites[site_id]
