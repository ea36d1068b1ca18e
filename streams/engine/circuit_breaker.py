"""Circuit breaker: stop a partition after too many consecutive dead letters.

Such a run most likely indicates a bug in the agent, not bad records (design D4). arroyo's dead
letter queue has a similar limit.
"""

from collections import defaultdict

from schemas.plurals import counted
from streams.engine.batch import Batch

#: The default limit of consecutive dead letters.
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
        tp = (batch.topic, batch.partition)
        longest = max(batch.consecutive_dead_letters(self._runs[tp]))
        if longest > self._limit:
            self.stopped[tp] = (
                f"{batch.stage}: {counted(longest, 'record')} of "
                f"{batch.topic}/{batch.partition} in a row could not be processed "
                f"({batch.last_reason}), before offset "
                f"{batch.last_offset + 1}; the partition is stopped. See `headrace dlq list`, fix "
                "the cause, and restart the role (docs/dead-letters.md)"
            )
        if tp in self.stopped:
            raise PartitionStoppedError(self.stopped[tp])

    def note_processed(self, batch: Batch) -> None:
        """Store the number of consecutive dead letters at the end of a processed batch."""
        tp = (batch.topic, batch.partition)
        *_, self._runs[tp] = batch.consecutive_dead_letters(self._runs[tp])
