"""The windows of one site in one partition."""

from collections import Counter

from schemas.live import LIVE_MINUTES, LIVE_SECONDS
from schemas.records import (
    LiveCounters,
    MinuteCount,
    PageCount,
    RawEvent,
    ReferrerCount,
    SecondCount,
)
from streams.domain.live_latest import LatestEvents
from streams.domain.live_sessions import ActiveSessions
from streams.domain.live_visitors import VisitorWindow

_SECOND_MS = 1_000
_MINUTE_MS = 60_000


class SiteWindows:
    """Counts the events of a site by log time; `decay` forgets what fell out of the windows."""

    def __init__(self) -> None:
        self._seconds: dict[int, Counter[str]] = {}
        self._minutes: Counter[int] = Counter()
        self._visitors = VisitorWindow()
        self._latest = LatestEvents()
        self.sessions = ActiveSessions()

    def count(self, event: RawEvent, log_ms: int) -> None:
        """Count an event; log times come in their order."""
        second, minute = log_ms // _SECOND_MS, log_ms // _MINUTE_MS
        types = self._seconds.get(second)
        if types is None:  # a new second: what no window holds any more makes room for it
            self.decay(log_ms)
            types = self._seconds[second] = Counter()
        types[event.type] += 1
        self._minutes[minute] += 1
        self._visitors.add(event.visitor_id or event.session_id, second)
        self.sessions.apply(event, log_ms)
        self._latest.add(event, log_ms)

    def decay(self, now_ms: int) -> bool:
        """Forget what is older than its window; True when there was anything."""
        now_s = now_ms // _SECOND_MS
        changed = _forget_until(self._seconds, now_s - LIVE_SECONDS)
        changed |= _forget_until(self._minutes, now_ms // _MINUTE_MS - LIVE_MINUTES)
        changed |= self._visitors.decay(now_s)
        changed |= self.sessions.decay(now_ms)
        self._latest.decay(now_ms)  # with the minutes, which say that something changed
        return changed

    @property
    def is_empty(self) -> bool:
        """Tell whether all counts are zero: no window is longer than the minutes'."""
        return not self._minutes

    @property
    def next_decay_ms(self) -> int:
        """When the counts change though nothing comes; zero when there are none."""
        times = [
            (next(iter(self._seconds), None), LIVE_SECONDS, _SECOND_MS),
            (next(iter(self._minutes), None), LIVE_MINUTES, _MINUTE_MS),
            (self._visitors.next_decay_s, 0, _SECOND_MS),
            (self.sessions.next_decay_ms, 0, 1),
        ]
        return min(((at + more) * unit for at, more, unit in times if at is not None), default=0)

    def counters(self, site_id: str, partition: int, at_ms: int) -> LiveCounters:
        """Return the counts; `decay` to the same time first."""
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
            latest=self._latest.told(),
        )


def _forget_until(window: dict[int, Counter[str]] | Counter[int], last: int) -> bool:
    """Drop the first buckets, up to `last`; they were made in the order of time."""
    old = []
    for at in window:
        if at > last:
            break
        old.append(at)
    for at in old:
        del window[at]
    return bool(old)
