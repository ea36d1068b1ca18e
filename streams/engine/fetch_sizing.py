"""Fetch sizing: delay fetches so that records accumulate at the broker into larger batches."""

import asyncio
from collections.abc import Callable
from time import monotonic

#: Records per second, of all topics of a worker, from which fetches are delayed: batches of a few
#: records each would use all of the CPU (docs/adr/0087). At lower rates, records are fetched
#: immediately.
_MIN_RATE = 50
#: A delay lasts until about so many records have accumulated, within these limits: a batch costs
#: the same CPU as some hundred records (docs/adr/0090), but the delay applies at each hop.
_BATCH_RECORDS = 200
_MIN_SECONDS, _MAX_SECONDS = 0.2, 0.4
_MEASURE_SECONDS = 0.6


class FetchRate:
    """Measures the rate of records of a worker."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._records = 0
        self._delay = 0.0

    def add(self, records: int) -> float:
        """Count fetched records; return by how many seconds to delay the next fetch, or 0."""
        self._records += records
        seconds = self._clock() - self._since
        if seconds >= _MEASURE_SECONDS:
            self._delay = _delay_seconds(self._records / seconds)
            self._since, self._records = self._clock(), 0
        return self._delay


def _delay_seconds(rate: float) -> float:
    if rate < _MIN_RATE:
        return 0.0
    return min(_MAX_SECONDS, max(_MIN_SECONDS, _BATCH_RECORDS / rate))


class FetchDelay:
    """Suspends the fetches of all topics of a worker together, for a while after records arrived.

    A broker answers a fetch as soon as one partition has a record. Without the delay, each record
    is a batch; with a delay per topic, a fetch of the quiet topics would hold up the others.
    `pause` suspends the fetches of all partitions, `resume` ends that.
    """

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._pause = pause
        self._resume = resume
        self._handles: list[asyncio.Handle] = []
        self._is_over = asyncio.Event()
        self._is_over.set()

    @property
    def is_active(self) -> bool:
        """Whether fetches are suspended."""
        return not self._is_over.is_set()

    def begin(self, seconds: float) -> None:
        """Suspend fetches for some seconds; no effect while they are suspended."""
        if self.is_active:
            return
        self._is_over.clear()
        loop = asyncio.get_running_loop()
        # First the readers of other topics take their records of the same fetch: the consumer drops
        # those of a paused partition. This is still before it sends the next fetch.
        self._handles = [
            loop.call_soon(self._pause),
            loop.call_later(seconds, self._end),
        ]

    async def wait(self) -> None:
        """Return when fetches are not suspended."""
        await self._is_over.wait()

    def cancel(self) -> None:
        """End the delay without resuming fetches, because the assignment ends."""
        for handle in self._handles:
            handle.cancel()
        self._is_over.set()

    def _end(self) -> None:
        self._resume()
        self._is_over.set()
