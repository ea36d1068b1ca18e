"""The sites of one partition: who is counted, when what they do is told, and who gives way."""

from collections import OrderedDict
from collections.abc import Iterator

from schemas.live import RENEW_SECONDS
from schemas.records import LiveCounters, RawEvent
from streams.domain.live_site import SiteWindows

#: Sites counted at once. Of more, those with a single event give way, the longest silent first.
MAX_SITES = 4_000
#: Sites with more events stay until they decay; so many, that there is room for newcomers.
MAX_SETTLED = 3_000
#: Sessions of all sites together. Of more, the site with the most gives its longest silent ones.
MAX_SESSIONS = 100_000

_RENEW_MS = RENEW_SECONDS * 1_000
_TRIM_AT_LEAST = 1_000


class Site:
    """One site's windows, and what was told of them."""

    def __init__(self, site_id: str) -> None:
        self.site_id = site_id
        self.windows = SiteWindows()
        self.is_settled = False
        #: When it was told last, by the monotonic clock (ms); None: never.
        self.told_ms: float | None = None
        self._changed = False
        self._decays_ms = 0.0

    def count(self, event: RawEvent, log_ms: int) -> None:
        """Count an event."""
        self.windows.count(event, log_ms)
        self._changed = True

    def renew(self) -> None:
        """Have it told again, as it is."""
        self._changed = True

    @property
    def rank(self) -> tuple[bool, float]:
        """Who of those due is told first: settled sites, and of them the longest untold."""
        return not self.is_settled, self.told_ms or 0.0

    def is_due(self, now_ms: float, mono_ms: float) -> bool:
        """Tell whether there may be something to tell: something came, decayed, or is renewed."""
        return self._changed or now_ms >= self._decays_ms or self._is_stale(mono_ms)

    def tell(self, partition: int, now_ms: int, mono_ms: float) -> LiveCounters | None:
        """Return what there is to tell, or None; zeros are told once, after something else."""
        decayed = self.windows.decay(now_ms)
        self._decays_ms = self.windows.next_decay_ms
        if not (self._changed or decayed or self._is_stale(mono_ms)):
            return None
        self._changed = False
        if self.windows.is_empty and self.told_ms is None:
            return None
        self.told_ms = mono_ms
        return self.windows.counters(self.site_id, partition, now_ms)

    def _is_stale(self, mono_ms: float) -> bool:
        return self.told_ms is not None and mono_ms - self.told_ms >= _RENEW_MS


class Sites:
    """The sites of a partition, bounded so that a flood of site ids moves no site that is known.

    A site settles with its second event. While all settled places are taken, sites that come
    are newcomers who contend among themselves.
    """

    def __init__(self) -> None:
        self._settled: dict[str, Site] = {}
        self._newcomers: OrderedDict[str, Site] = OrderedDict()

    def __iter__(self) -> Iterator[Site]:
        yield from self._settled.values()
        yield from self._newcomers.values()

    def __len__(self) -> int:
        return len(self._settled) + len(self._newcomers)

    def of(self, site_id: str) -> Site:
        """Return the site of an event that came now."""
        if (site := self._settled.get(site_id)) is not None:
            return site
        if (site := self._newcomers.pop(site_id, None)) is None:
            if len(self) >= MAX_SITES:
                self._newcomers.popitem(last=False)
            site = self._newcomers[site_id] = Site(site_id)
        elif len(self._settled) < MAX_SETTLED:
            site.is_settled = True
            self._settled[site_id] = site
        else:
            self._newcomers[site_id] = site
        return site

    def forget(self, site_id: str) -> None:
        """Forget a site that has decayed."""
        if self._settled.pop(site_id, None) is None:
            del self._newcomers[site_id]

    def trim_sessions(self) -> None:
        """See that there are not too many sessions in all."""
        while (excess := sum(len(site.windows.sessions) for site in self) - MAX_SESSIONS) > 0:
            largest = max(self, key=lambda site: len(site.windows.sessions)).windows.sessions
            for _ in range(min(max(excess, _TRIM_AT_LEAST), len(largest))):
                largest.forget_oldest()
