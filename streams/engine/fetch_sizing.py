"""Fetch sizing: delay fetches so that records accumulate at the broker into larger batches."""

from collections.abc import Callable
from time import monotonic

#: Records per second from which fetches are delayed: batches of a few records each would use all of
#: the CPU (docs/adr/0022). At lower rates, records are fetched immediately.
_MIN_RATE = 100
_DELAY_SECONDS = 0.1
_MEASURE_SECONDS = 0.6


class FetchSizing:
    """Measures the rate of a topic, and returns how long to delay its next fetch."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._records = 0
        self._is_fast = False

    def delay_after(self, records: int, *, is_behind: bool) -> float:
        """Return the delay (s) after a fetch of `records` records; 0.0 while there is a backlog."""
        self._records += records
        seconds = self._clock() - self._since
        if seconds >= _MEASURE_SECONDS:
            self._is_fast = self._records / seconds >= _MIN_RATE
            self._since, self._records = self._clock(), 0
        return _DELAY_SECONDS if self._is_fast and not is_behind else 0.0
