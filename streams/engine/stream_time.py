"""Stream time: the log time of records, limited by other clocks (docs/adr/0041).

Otherwise a broker whose clock jumps would close every visit, or keep each open for days. The domain
reads no clock: agents pass the worker's time.
"""

from schemas.clock_tolerance import LEAD_MS
from schemas.headers import Source


def limited(log_ms: int, now_ms: int) -> int:
    """Return a log time (ms), limited to 5 minutes ahead of the worker's clock `now_ms`."""
    return min(log_ms, now_ms + LEAD_MS)


class StreamTime:
    """Limits the log times of the records of one agent. All times are in ms, UTC.

    If the clocks of worker and broker disagree, `received_ms`, the clock of the API server that
    accepted the event, decides: a log time that agrees with it is right.
    """

    def __init__(self) -> None:
        self._now_ms = 0
        self._agrees = False
        #: For each source partition, the last offset, the latest stream time, and when the last
        #: event was received.
        self._seen: dict[int, tuple[int, int, int]] = {}

    def begin_batch(self, now_ms: int) -> int | None:
        """Set the worker's clock, and return the upper limit of the times of states.

        None while worker and broker disagree, because either may be wrong.
        """
        self._now_ms = now_ms
        return now_ms + LEAD_MS if self._agrees else None

    def limit(self, src: Source, received_ms: int | None = None) -> Source:
        """Return the source of a record with a limited log time.

        A time ahead of both other clocks is reduced to 5 minutes ahead of them. A time more than 5
        minutes before those of earlier records, after a clock was set back, is raised to 5 minutes
        before both. `received_ms` is None for punctuation.
        """
        partition, offset, log_ms = src
        last, peak_ms, before_ms = self._seen.get(partition, (-1, 0, 0))
        if received_ms is None:
            received_ms = before_ms
        elif offset > last and peak_ms <= log_ms <= self._now_ms + LEAD_MS:
            # Nearly always: the result of what follows.
            self._agrees, self._seen[partition] = True, (offset, log_ms, received_ms)
            return src
        self._agrees = log_ms <= self._now_ms + LEAD_MS
        at_ms = log_ms
        if not self._agrees:
            at_ms = min(log_ms, max(self._now_ms, received_ms) + LEAD_MS)
        # Records that are routed again are older, too, but their offsets are lower.
        if at_ms < peak_ms - LEAD_MS and offset > last:
            at_ms = max(at_ms, min(self._now_ms, received_ms) - LEAD_MS)
        seen = (offset, at_ms, received_ms)
        if offset < last or at_ms < peak_ms:  # rarely; `max` would take a third of the time
            seen = (max(last, offset), max(peak_ms, at_ms), received_ms)
        self._seen[partition] = seen
        return src if at_ms == log_ms else src._replace(log_ms=at_ms)
