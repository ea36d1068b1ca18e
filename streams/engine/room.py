"""Tables that are full: what left before its time is counted and told."""

import logging
from time import monotonic

from streams.engine.batch import Batch

log = logging.getLogger(__name__)

#: States that a partition of a table keeps, unless said otherwise: some 150 MB.
MAX_STATES = 250_000

_TELL_AGAIN_SECONDS = 60.0


class Room:
    """How many states a partition of a table may keep; what leaves early is told once a minute."""

    def __init__(self, most: int) -> None:
        self.most = most
        #: Since the start.
        self.left_early = 0
        self._untold = 0
        self._told_at = -_TELL_AGAIN_SECONDS

    def note(self, batch: Batch) -> None:
        """Note what left with a batch."""
        if not batch.left_early:
            return
        self.left_early += batch.left_early
        self._untold += batch.left_early
        if monotonic() - self._told_at < _TELL_AGAIN_SECONDS:
            return
        log.warning(
            "%s: %d states left before their time, those idle for longest: partition %d has as "
            "many as it may keep. If they are real, start more workers on more memory and raise "
            "HEADRACE_STREAMS__MAX_STATES",
            batch.stage,
            self._untold,
            batch.partition,
        )
        self._untold, self._told_at = 0, monotonic()
