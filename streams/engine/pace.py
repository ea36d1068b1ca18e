"""How long the broker may hold a fetch: until there is something, or until there is more."""

from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

#: A fetch brings its records at once while fewer come than so many a second. Of more, batches
#: would be of a few records each, for as much CPU as there is (docs/adr/0022); the broker gathers
#: a dozen or more first.
_GATHER_FROM = 100
#: What one partition gives in a fetch, at most. Compressed; as records in memory some ten times
#: that, for each partition and topic. A fetch that has so much is not held: it is a backlog's.
MAX_FETCH_BYTES = 256 * 1024
_GATHER_MS = 150
#: aiokafka has one fetch on its way to a broker at a time, without the partitions whose records
#: are still to be taken: those wait until it is answered.
HELD_MS = 100
#: When there is nothing to do. Nothing waits behind a fetch: it has a connection of its own.
_REST_MS = 3_000
#: Some fetches that were held: who asks again and again meanwhile, since others wait to be taken,
#: must not take that for silence.
_MEASURED_SECONDS = 0.6


class Hold(NamedTuple):
    """What a fetch asks for: it is answered with so many bytes, or after so long."""

    min_bytes: int
    max_wait_ms: int

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing comes."""
        return self.max_wait_ms == _REST_MS


#: While something comes, or is about to.
BRIEFLY = Hold(1, HELD_MS)
_AT_REST = Hold(1, _REST_MS)


class Pace:
    """Measures how fast records come, and says how the next fetch may be held."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._records = 0
        self._gathers = False

    def after(self, records: int, *, busy: bool) -> Hold:
        """Note what a fetch brought; `busy` when some that were fetched wait to be taken."""
        self._records += records
        seconds = self._clock() - self._since
        if seconds >= _MEASURED_SECONDS:
            self._gathers = self._records / seconds >= _GATHER_FROM
            self._since, self._records = self._clock(), 0
        if self._gathers:
            return Hold(MAX_FETCH_BYTES, _GATHER_MS)
        return BRIEFLY if records or busy else _AT_REST
