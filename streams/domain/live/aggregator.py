"""Live counters of the sites of one partition.

Time is the last log time plus the monotonic time since then, so that windows expire without events
and without a wall clock. All structures are limited (`live_sites`, `live_sessions`).
"""

from heapq import nsmallest
from math import inf

from schemas.headers import Source
from schemas.records import LiveCounters, RawEvent
from streams.domain.alerts.alert import is_recent
from streams.domain.live.sites import Sites

#: Limit of counters published at a time, about 20 ms; the others follow in the next call.
MAX_PUBLISHED = 100
#: Events between two checks of the number of sessions.
_TRIM_EVERY = 1_000
#: Log times may be out of order by this much without a clock that was set back.
_JITTER_MS = 10_000


class StreamClock:
    """Stream time that continues between records. It goes back only if the broker's clock does."""

    def __init__(self) -> None:
        self._ahead_ms = -inf
        self._last = (-1, 0)

    def observe(self, src: Source, mono_ms: float) -> None:
        """Observe a record of the partition that was read at a monotonic time (ms)."""
        offset, log_ms = self._last
        if src.offset <= offset:
            return  # read or routed again
        self._last = (src.offset, src.log_ms)
        ahead_ms = src.log_ms - mono_ms
        # By increasing offset, time goes back only if the clock was set back.
        if ahead_ms > self._ahead_ms or src.log_ms < log_ms - _JITTER_MS:
            self._ahead_ms = ahead_ms

    def now(self, mono_ms: float) -> int | None:
        """Return stream time in ms; None before the first record."""
        return None if self._ahead_ms == -inf else int(mono_ms + self._ahead_ms)


class LiveAggregator:
    """Counts the events of one partition. Monotonic times are in ms."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._clock = StreamClock()
        self.sites = Sites()
        #: The last applied offset of each source partition, to skip duplicates.
        self._applied: dict[int, int] = {}
        self._until_trim = _TRIM_EVERY
        self._all_published = False

    def __len__(self) -> int:
        return len(self.sites)

    @property
    def has_published_all(self) -> bool:
        """Whether the counters of all sites were published at least once."""
        return self._all_published or not self.sites

    def apply(self, event: RawEvent | None, src: Source, mono_ms: float) -> None:
        """Count an event once; None is punctuation, which only advances stream time."""
        self._clock.observe(src, mono_ms)
        if event is None or src.offset <= self._applied.get(src.partition, -1):
            return
        self._applied[src.partition] = src.offset
        if not is_recent(event):
            return
        self.sites.of(event.site_id, src.log_ms).count(event, src.log_ms)
        self._until_trim -= 1
        if not self._until_trim:
            self._until_trim = _TRIM_EVERY
            self.sites.trim_sessions()

    def due(self, mono_ms: float) -> list[LiveCounters]:
        """Return counters that changed, expired or must be renewed; remove empty sites."""
        now_ms = self._clock.now(mono_ms)
        if now_ms is None:
            return []
        due = [site for site in self.sites if site.is_due(now_ms, mono_ms)]
        published = []
        for site in nsmallest(MAX_PUBLISHED, due, key=lambda site: site.rank):
            if (counters := site.publish(self._partition, now_ms, mono_ms)) is not None:
                published.append(counters)
            if site.windows.is_empty:
                self.sites.remove(site.site_id)
        # Newcomers are published last, and new ones may always arrive.
        unpublished = (site for site in due if site.is_settled and site.published_ms is None)
        self._all_published = (
            self._all_published or len(due) <= MAX_PUBLISHED or not any(unpublished)
        )
        return published
