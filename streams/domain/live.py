"""What happens now, as one partition sees it: the live counters of its sites.

Time is stream time going on: the last log time seen and the monotonic time since then. No
wall clock is asked, and windows decay while nothing comes. Everything is bounded; what gives
way is said beside each bound (`live_sites`, `live_sessions`).
"""

from heapq import nsmallest
from itertools import islice
from math import inf

from schemas.headers import Source
from schemas.live import ALIVE_SECONDS
from schemas.records import LiveCounters, RawEvent
from streams.domain.alerts import is_recent
from streams.domain.live_sites import Sites

#: Counters told in one go: some 20 ms. Of more, the others wait for the next time.
MAX_TOLD = 100
_ALIVE_MS = ALIVE_SECONDS * 1_000
#: Events between two looks at how many sessions there are.
_TRIM_EVERY = 1_000


class StreamClock:
    """Stream time, going on between records. It never goes back."""

    def __init__(self) -> None:
        self._ahead_ms = -inf

    def see(self, log_ms: int, mono_ms: float) -> None:
        """Note the log time of a record that was read at a monotonic time."""
        self._ahead_ms = max(self._ahead_ms, log_ms - mono_ms)

    def now(self, mono_ms: float) -> int | None:
        """Return stream time in ms; None before the first record."""
        return None if self._ahead_ms == -inf else int(mono_ms + self._ahead_ms)


class LiveBook:
    """Counts the events of one partition while they flow. Monotonic times are in ms."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._clock = StreamClock()
        self._sites = Sites()
        #: For each source partition the offset applied last: what is not above it is a repeat.
        self._applied: dict[int, int] = {}
        self._until_trim = _TRIM_EVERY
        #: When counters were told last, by the monotonic clock.
        self._told_ms = -inf

    def __len__(self) -> int:
        return len(self._sites)

    def apply(self, event: RawEvent | None, src: Source, mono_ms: float) -> None:
        """Count an event, once; None is a tick, which only says what time it is."""
        self._clock.see(src.log_ms, mono_ms)
        if event is None or src.offset <= self._applied.get(src.partition, -1):
            return
        self._applied[src.partition] = src.offset
        if not is_recent(event):
            return
        self._sites.of(event.site_id).count(event, src.log_ms)
        self._until_trim -= 1
        if not self._until_trim:
            self._until_trim = _TRIM_EVERY
            self._sites.trim_sessions()

    def due(self, mono_ms: float) -> list[LiveCounters]:
        """Return the counters that changed, decayed or are to be renewed; forget empty sites.

        Where there are none of these for long, those of one site: somebody counts.
        """
        now_ms = self._clock.now(mono_ms)
        if now_ms is None:
            return []
        due = [site for site in self._sites if site.is_due(now_ms, mono_ms)]
        if not due and mono_ms - self._told_ms >= _ALIVE_MS:
            due = list(islice((site for site in self._sites if site.told_ms is not None), 1))
            for site in due:
                site.renew()
        told = []
        for site in nsmallest(MAX_TOLD, due, key=lambda site: site.rank):
            if (counters := site.tell(self._partition, now_ms, mono_ms)) is not None:
                told.append(counters)
            if site.windows.is_empty:
                self._sites.forget(site.site_id)
        if told:
            self._told_ms = mono_ms
        return told
