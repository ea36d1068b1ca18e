"""The time windows of one site in one partition."""

from collections import Counter

from schemas.live import LIVE_MINUTES, LIVE_SECONDS
from schemas.records import (
    CountryCount,
    DeviceCount,
    LiveCounters,
    MinuteCount,
    PageCount,
    RawEvent,
    ReferrerCount,
    SecondCount,
    SourceCount,
)
from streams.domain.live.latest import LatestEvents
from streams.domain.live.sessions import ActiveSessions
from streams.domain.live.visitors import VisitorWindow

_SECOND_MS = 1_000
_MINUTE_MS = 60_000


class SiteWindows:
    """Counts the events of a site by log time; `decay` removes expired counts."""

    def __init__(self) -> None:
        self._seconds: dict[int, Counter[str]] = {}
        self._minutes: Counter[int] = Counter()
        self._visitors = VisitorWindow()
        self._latest = LatestEvents()
        self.sessions = ActiveSessions()

    def count(self, event: RawEvent, log_ms: int) -> None:
        """Count an event; log times must be ascending."""
        second, minute = log_ms // _SECOND_MS, log_ms // _MINUTE_MS
        types = self._seconds.get(second)
        if types is None:  # a new second: remove expired ones
            self.decay(log_ms)
            types = self._seconds[second] = Counter()
        types[event.type] += 1
        self._minutes[minute] += 1
        for visitor, seen_in in self.sessions.apply(event, log_ms):
            self._visitors.add(visitor, seen_in)
        self._latest.add(event, log_ms)

    def decay(self, now_ms: int) -> bool:
        """Remove expired counts; return True if there were any."""
        now_s = now_ms // _SECOND_MS
        changed = _remove_until(self._seconds, now_s - LIVE_SECONDS)
        changed |= _remove_until(self._minutes, now_ms // _MINUTE_MS - LIVE_MINUTES)
        changed |= self._visitors.decay(now_s)
        changed |= self.sessions.decay(now_ms)
        self._latest.decay(now_ms)  # with the minutes, which say that something changed
        return changed

    @property
    def is_empty(self) -> bool:
        """Whether all counts are zero; the window of the minutes is the longest."""
        return not self._minutes

    @property
    def next_decay_ms(self) -> int:
        """When the next count expires (ms); zero without counts."""
        times = [
            (min(self._seconds, default=None), LIVE_SECONDS, _SECOND_MS),
            (min(self._minutes, default=None), LIVE_MINUTES, _MINUTE_MS),
            (self._visitors.next_decay_s, 0, _SECOND_MS),
            (self.sessions.next_decay_ms, 0, 1),
        ]
        return min(((at + more) * unit for at, more, unit in times if at is not None), default=0)

    def counters(self, site_id: str, partition: int, at_ms: int) -> LiveCounters:
        """Return the counts. Call `decay` with the same time before."""
        return LiveCounters(
            site_id=site_id,
            partition=partition,
            at_ms=at_ms,
            seconds=[SecondCount(at, dict(types)) for at, types in self._seconds.items()],
            minutes=[MinuteCount(at, events) for at, events in self._minutes.items()],
            sessions=len(self.sessions),
            visitors=self._visitors.packed(),
            pages=[PageCount(*one) for one in self.sessions.pages.top()],
            referrers=[ReferrerCount(*one) for one in self.sessions.referrers.top()],
            latest=self._latest.newest_first(),
            countries=[CountryCount(*one) for one in self.sessions.countries.top()],
            devices=[DeviceCount(*one) for one in self.sessions.devices.top()],
            sources=[SourceCount(*one) for one in self.sessions.sources.top()],
        )


def _remove_until(window: dict[int, Counter[str]] | Counter[int], last: int) -> bool:
    """Remove the buckets up to `last`; they may be out of order after a clock was set back."""
    old = [at for at in window if at <= last]
    for at in old:
        del window[at]
    return bool(old)
