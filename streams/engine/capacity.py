"""Capacity of tables: the limits at which states are evicted."""

import logging
from time import monotonic
from typing import Any

from schemas.plurals import counted
from streams.engine.batch import Batch
from streams.engine.partition_states import PartitionStates
from streams.engine.table import BatchTable

log = logging.getLogger(__name__)

#: Default limit of states per partition of a table, about 150 MB.
MAX_STATES = 250_000
#: Default limit of the memory of all states of a worker.
MAX_STATE_BYTES = 1 << 30

_LOG_INTERVAL_SECONDS = 60.0


class Capacity:
    """The limits of all tables of a worker; evictions are logged once a minute.

    `max_states` limits each partition of a table, `max_bytes` all `tables` together.
    """

    def __init__(self, max_states: int = MAX_STATES, max_bytes: int = MAX_STATE_BYTES) -> None:
        self.max_states = max_states
        self.max_bytes = max_bytes
        self.tables: list[BatchTable[Any]] = []
        #: The number of states evicted since the start.
        self.evicted = 0
        self._unlogged = 0
        self._logged_at = -_LOG_INTERVAL_SECONDS

    def limit_of(self, states: PartitionStates[Any]) -> int:
        """Return how many states a partition may keep.

        Beyond `max_bytes`, partitions that use more than an equal share give up the excess, each in
        proportion to what it uses above its share.
        """
        sizes = [one.size_bytes for table in self.tables for one in table.parts if len(one)]
        excess = sum(sizes) - self.max_bytes
        if excess <= 0:
            return self.max_states
        share = self.max_bytes / len(sizes)
        if states.size_bytes <= share:
            return self.max_states
        over = sum(size - share for size in sizes if size > share)
        kept_bytes = states.size_bytes - excess * (states.size_bytes - share) / over
        return min(self.max_states, int(len(states) * kept_bytes / states.size_bytes))

    def log_evictions(self, batch: Batch) -> None:
        """Count the evictions of a batch, and log them, at most once a minute."""
        if not batch.evicted:
            return
        self.evicted += batch.evicted
        self._unlogged += batch.evicted
        if monotonic() - self._logged_at < _LOG_INTERVAL_SECONDS:
            return
        log.warning(
            "%s: %s evicted, those idle for longest: partition %d is at its limit. "
            "If the traffic is genuine, add workers or memory and raise "
            "HEADRACE_STREAMS__MAX_STATES and HEADRACE_STREAMS__MAX_STATE_BYTES",
            batch.stage,
            counted(self._unlogged, "state"),
            batch.partition,
        )
        self._unlogged, self._logged_at = 0, monotonic()
