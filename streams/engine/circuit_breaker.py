"""Circuit breaker: stop a partition after too many consecutive dead letters.

The bug is then most likely ours, and the records are good. After the limit of arroyo's dead letter
queue (design D4).
"""

from collections import defaultdict

from schemas.plurals import counted
from streams.engine.batch import Batch

#: Consecutive dead letters that stop a partition, unless a setting says otherwise.
MAX_CONSECUTIVE_DEAD_LETTERS = 50


class PartitionStoppedError(Exception):
    """The partition is stopped; the message says why and what to do."""


class CircuitBreaker:
    """Counts the consecutive dead letters of each partition."""

    def __init__(self, limit: int = MAX_CONSECUTIVE_DEAD_LETTERS) -> None:
        self._limit = limit
        self._runs: defaultdict[tuple[str, int], int] = defaultdict(int)
        #: Stopped partitions, and why, as a sentence.
        self.stopped: dict[tuple[str, int], str] = {}

    def check(self, batch: Batch) -> None:
        """Raise `PartitionStoppedError` if the batch's partition is stopped, or exceeds the limit.

        Call it before the dead letters of the batch are sent: the batch must then have no effect,
        and is read again after a restart.
        """
        place = (batch.topic, batch.partition)
        longest = max(batch.consecutive_dead_letters(self._runs[place]))
        if longest > self._limit:
            self.stopped[place] = (
                f"{batch.stage}: {counted(longest, 'record')} of "
                f"{batch.topic}/{batch.partition} in a row could not be processed "
                f"({batch.last_reason}), before offset "
                f"{batch.last_offset + 1}; the partition is stopped. See `headrace dlq list`, fix "
                "the cause, start the role again; docs/dead-letters.md says more"
            )
        if place in self.stopped:
            raise PartitionStoppedError(self.stopped[place])

    def note_processed(self, batch: Batch) -> None:
        """Count on from the end of a processed batch."""
        place = (batch.topic, batch.partition)
        *_, self._runs[place] = batch.consecutive_dead_letters(self._runs[place])
