"""The newest partial of each site and partition, for as long as it is renewed."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from schemas.codec import decode
from schemas.live import STALLED_SECONDS
from schemas.records import LiveCounters
from schemas.visitor_sketch import estimate
from sinks.query import live
from sinks.query.live import Live
from sinks.query.live_eviction import Activity, Entry, activity_of, eviction_order, rank_of

#: A partial that was not renewed for so long is outdated, or its worker is gone.
EXPIRES_MS = 45_000
#: Of sites, and of bytes. Of more, the sites that were active least are evicted.
MOST_SITES = 10_000
MOST_BYTES = 128 * 1024 * 1024

_SWEEP_MS = 5_000
#: One in so many sites, or bytes, is evicted at a time: all sites are compared for it.
_EVICTED_SHARE = 50


class _Partial(NamedTuple):
    """Encoded, it takes a fraction of the memory."""

    at_ms: int
    message: bytes
    activity: Activity


class Board:
    """Bounded in sites and bytes; `now_ms` is the clock that partials expire by.

    A site with events in several minutes is not evicted by sites that have them in one, and of
    these the one with the latest event stays: sites that were invented before take no place of
    one that becomes active.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._sites: dict[str, dict[int, _Partial]] = {}
        #: Until when each partition was counted, as its worker reported, by our clock.
        self._counted: dict[int, int] = {}
        #: The partitions whose counters are read here; None while that has only begun.
        self._partitions: Collection[int] | None = ()
        self._started_ms = 0
        self._bytes = 0
        self._swept_ms = 0
        #: While the board is full, no site of a lower rank is evicted or admitted.
        self._lowest = rank_of(False, Entry("", Activity(0, 0), 0))
        self.refused = 0

    @property
    def size(self) -> int:
        """How many sites are kept."""
        return len(self._sites)

    @property
    def size_bytes(self) -> int:
        """How many bytes of counters are kept."""
        return self._bytes

    def put(self, message: bytes, at_ms: int) -> None:
        """Keep a partial that was written at `at_ms`; `ValueError` when it cannot be read."""
        counters = decode(message, LiveCounters)
        estimate([counters.visitors])  # it fails here if it is no sketch, and not for all readers
        site_id, partition = counters.site_id, counters.partition
        self._sweep()
        old = self._sites.get(site_id, {}).get(partition)
        partial = _Partial(at_ms, message, activity_of(counters))
        growth = len(message) - (len(old.message) if old else 0)
        if not self._has_place(site_id, growth) and not self._make_place(site_id, partial, growth):
            self.refused += 1
            return
        self._bytes += growth
        self._sites.setdefault(site_id, {})[partition] = partial

    def _has_place(self, site_id: str, growth: int) -> bool:
        sites = len(self._sites) + (site_id not in self._sites)
        return sites <= MOST_SITES and self._bytes + growth <= MOST_BYTES

    def _make_place(self, site_id: str, partial: _Partial, growth: int) -> bool:
        """Evict sites of a lower rank than this one has; False when there are too few.

        It evicts more than one at a time: to compare all sites is most of the work.
        """
        own = self._entry(site_id, [*self._sites.get(site_id, {}).values(), partial])
        if own.activity.minutes <= 1 and rank_of(False, own) <= self._lowest:
            return False
        others = (
            self._entry(name, partials.values())
            for name, partials in self._sites.items()
            if name != site_id
        )
        order = eviction_order([own, *others], MOST_SITES, MOST_BYTES)
        own_rank = next(rank_of(*one) for one in order if one[1] is own)
        most_sites = MOST_SITES - MOST_SITES // _EVICTED_SHARE
        most_bytes = MOST_BYTES - MOST_BYTES // _EVICTED_SHARE
        for is_protected, entry in order:
            rank = rank_of(is_protected, entry)
            if not is_protected:
                self._lowest = rank
            is_roomy = len(self._sites) < most_sites and self._bytes + growth <= most_bytes
            if is_roomy or rank >= own_rank:
                break
            self._bytes -= entry.size
            del self._sites[entry.site_id]
        return self._has_place(site_id, growth)

    def _entry(self, site_id: str, partials: Iterable[_Partial]) -> Entry:
        some = list(partials)
        (minutes, last_s) = zip(*(partial.activity for partial in some), strict=True)
        size = sum(len(partial.message) for partial in some)
        return Entry(site_id, Activity(max(minutes), max(last_s)), size)

    def start(self) -> None:
        """Call it before the first `put`: until `complete`, what is here is not all there is."""
        self._partitions, self._started_ms = None, self._now_ms()

    def complete(self, partitions: Collection[int]) -> None:
        """All that was written for these partitions is here."""
        self._partitions = partitions

    def note_counted(self, ages_ms: Mapping[int, int], at_ms: int) -> None:
        """Note a report, written at `at_ms`: how long before partitions were complete."""
        for partition, age_ms in ages_ms.items():
            counted_ms = min(at_ms, self._now_ms()) - age_ms
            self._counted[partition] = max(counted_ms, self._counted.get(partition, 0))

    def snapshot(self, site_id: str, *, latest: bool = False) -> Live:
        """Return what happens now at a site; with `latest` what the page shows besides.

        `stalled_since` says until when the numbers are complete, if that is not now. Without
        `latest`, it is there only then.
        """
        now_ms = self._now_ms()
        partials = self._fresh(site_id, now_ms)
        shown = live.merge(site_id, partials, now_ms)
        stalled_since = self._stalled_since(now_ms)
        if latest:
            shown["latest"] = live.latest(partials)
        if latest or stalled_since:
            shown["stalled_since"] = stalled_since
        return shown

    def _stalled_since(self, now_ms: int) -> str | None:
        """Return until when all partitions were counted; None while they are.

        A session may be in any of them. By our clock, by which people see how long ago that is;
        of a partition without a report no more is known than when we started.
        """
        if self._partitions is None:
            return live.iso(min(self._counted.values(), default=self._started_ms))
        counted = [self._counted.get(one, self._started_ms) for one in self._partitions]
        is_known = self._counted.keys() >= set(self._partitions)
        counted_ms = min(counted, default=now_ms)
        if is_known and now_ms - counted_ms < STALLED_SECONDS * 1_000:
            return None
        return live.iso(counted_ms)

    def sites(self, most: int, after: str = "") -> list[str]:
        """Return sites where something happens, in order of their names, from behind `after`."""
        self._sweep()
        return sorted(name for name in self._sites if name > after)[:most]

    def _fresh(self, site_id: str, now_ms: int) -> list[LiveCounters]:
        partials = self._sites.get(site_id, {}).values()
        return [
            decode(one.message, LiveCounters) for one in partials if now_ms - one.at_ms < EXPIRES_MS
        ]

    def _sweep(self) -> None:
        """Forget what has expired, every few seconds."""
        now_ms = self._now_ms()
        if now_ms - self._swept_ms < _SWEEP_MS:
            return
        self._swept_ms = now_ms
        for site_id, partials in list(self._sites.items()):
            for partition, partial in list(partials.items()):
                if now_ms - partial.at_ms >= EXPIRES_MS:
                    del partials[partition]
                    self._bytes -= len(partial.message)
            if not partials:
                del self._sites[site_id]
