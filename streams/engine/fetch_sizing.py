"""Fetch sizing: let records accumulate at the broker, so that batches are not tiny."""

from collections.abc import Callable
from time import monotonic

#: Below this rate, records are fetched at once. Above it, batches of a few records each would use
#: all the CPU there is (docs/adr/0022), so that fetches are delayed.
_MIN_RATE = 100
_DELAY_SECONDS = 0.1
_MEASURED_SECONDS = 0.6


class FetchSizing:
    """Measures the rate of a topic, and returns how long to delay its next fetch."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._records = 0
        self._is_fast = False

    def pause_after(self, records: int, *, is_behind: bool) -> float:
        """Return the delay (s) after a fetch of so many records; 0.0 while there is a backlog."""
        self._records += records
        seconds = self._clock() - self._since
        if seconds >= _MEASURED_SECONDS:
            self._is_fast = self._records / seconds >= _MIN_RATE
            self._since, self._records = self._clock(), 0
        return _DELAY_SECONDS if self._is_fast and not is_behind else 0.0
