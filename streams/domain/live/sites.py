"""The sites of one partition: limits, eviction, and when their counters are published."""

from collections import OrderedDict
from collections.abc import Iterator

from schemas.live import ACTIVE_SECONDS, RENEW_SECONDS
from schemas.records import LiveCounters, RawEvent
from streams.domain.live.site import SiteWindows

#: Limit of sites; beyond it, newcomers are evicted, the least recently active first.
MAX_SITES = 4_000
#: Limit of settled sites, which newcomers cannot evict.
MAX_SETTLED = 3_000
#: Limit of the sessions of all sites; beyond it, those of the site with the most are evicted.
MAX_SESSIONS = 100_000

_MINUTE_MS = 60_000
_RENEW_MS = RENEW_SECONDS * 1_000
_TRIM_AT_LEAST = 1_000


class Site:
    """The windows of a site, and when they were published."""

    def __init__(self, site_id: str, log_ms: int) -> None:
        self.site_id = site_id
        self.began_ms = log_ms
        #: Log time of its last event.
        self.last_ms = log_ms
        self.windows = SiteWindows()
        self.is_settled = False
        #: Monotonic time (ms) of the last publication; None if there was none.
        self.published_ms: float | None = None
        self._changed = False
        self._decays_ms = 0.0

    def count(self, event: RawEvent, log_ms: int) -> None:
        """Count an event."""
        self.windows.count(event, log_ms)
        self.last_ms = log_ms
        self._changed = True

    def has_returned(self, log_ms: int) -> bool:
        """Return True if the minute of an event is later than that of the site's first event."""
        return log_ms // _MINUTE_MS > self.began_ms // _MINUTE_MS

    @property
    def rank(self) -> tuple[bool, float]:
        """The order of publication: settled sites first, then the least recently published."""
        return not self.is_settled, self.published_ms or 0.0

    def is_due(self, now_ms: float, mono_ms: float) -> bool:
        """Return True if the counters may have changed, expired, or must be renewed."""
        return self._changed or now_ms >= self._decays_ms or self._is_stale(mono_ms)

    def publish(self, partition: int, now_ms: int, mono_ms: float) -> LiveCounters | None:
        """Return the counters to publish, or None; zeros are published once, after other values."""
        decayed = self.windows.decay(now_ms)
        self._decays_ms = self.windows.next_decay_ms
        if not (self._changed or decayed or self._is_stale(mono_ms)):
            return None
        self._changed = False
        if self.windows.is_empty and self.published_ms is None:
            return None
        self.published_ms = mono_ms
        return self.windows.counters(self.site_id, partition, now_ms)

    def _is_stale(self, mono_ms: float) -> bool:
        return self.published_ms is not None and mono_ms - self.published_ms >= _RENEW_MS


class Sites:
    """The sites of a partition, limited so that invented site ids cannot evict settled sites.

    A site becomes settled with an event in a later minute than its first one. At the limit of
    settled sites, it replaces one without an event in the last 5 minutes, if there is one.
    Newcomers evict only each other.
    """

    def __init__(self) -> None:
        #: Both ordered by the last event.
        self._settled: OrderedDict[str, Site] = OrderedDict()
        self._newcomers: OrderedDict[str, Site] = OrderedDict()
        #: The numbers of sites and sessions evicted so far.
        self.evicted = 0
        self.evicted_sessions = 0

    def __iter__(self) -> Iterator[Site]:
        yield from self._settled.values()
        yield from self._newcomers.values()

    def __len__(self) -> int:
        return len(self._settled) + len(self._newcomers)

    def of(self, site_id: str, log_ms: int) -> Site:
        """Return the site of an event at a log time (ms)."""
        if (site := self._settled.get(site_id)) is not None:
            self._settled.move_to_end(site_id)
            return site
        if (site := self._newcomers.pop(site_id, None)) is None:
            if len(self) >= MAX_SITES:
                self._newcomers.popitem(last=False)
                self.evicted += 1
            site = self._newcomers[site_id] = Site(site_id, log_ms)
        elif site.has_returned(log_ms) and self._has_settled_place(log_ms):
            site.is_settled = True
            self._settled[site_id] = site
        else:
            self._newcomers[site_id] = site
        return site

    def _has_settled_place(self, log_ms: int) -> bool:
        """Return True if a site may become settled, possibly by replacing an idle one."""
        if len(self._settled) < MAX_SETTLED:
            return True
        least_recent = next(iter(self._settled.values()))
        if least_recent.last_ms > log_ms - ACTIVE_SECONDS * 1_000:
            return False
        self._settled.popitem(last=False)
        least_recent.is_settled = False
        self._newcomers[least_recent.site_id] = least_recent
        self._newcomers.move_to_end(least_recent.site_id, last=False)
        return True

    def remove(self, site_id: str) -> None:
        """Remove a site without counts."""
        if self._settled.pop(site_id, None) is None:
            del self._newcomers[site_id]

    def trim_sessions(self) -> None:
        """Evict sessions beyond the limit of all sites."""
        while (excess := sum(site.windows.sessions.held for site in self) - MAX_SESSIONS) > 0:
            largest = max(self, key=lambda site: site.windows.sessions.held).windows.sessions
            count = min(max(excess, _TRIM_AT_LEAST), largest.held)
            for _ in range(count):
                largest.forget_oldest()
            self.evicted_sessions += count
