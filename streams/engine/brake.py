"""The brake: when everything looks bad, the fault is ours, and dead letters do not help.

After sentry-arroyo's DLQ limit: a partition whose records are refused one after another is
stopped, not emptied into the dead letter topic (design D4).
"""

from collections import defaultdict

from streams.engine.batch import Batch

#: So many refused records in a row stop their partition.
MAX_REFUSED_IN_A_ROW = 50


class Brake:
    """Counts, for each topic and partition, how many records in a row were refused."""

    def __init__(self) -> None:
        self._runs: defaultdict[tuple[str, int], int] = defaultdict(int)
        #: Stopped partitions, and why, as a sentence.
        self.stopped: dict[tuple[str, int], str] = {}

    def holds(self, topic: str, partition: int) -> bool:
        """Tell whether the partition is stopped."""
        return (topic, partition) in self.stopped

    def admit(self, batch: Batch) -> bool:
        """Count a processed batch; False when it stops its partition.

        A batch that trips the brake must have no effect: it is read again after a restart.
        """
        place = (batch.topic, batch.partition)
        longest = last = self._runs[place]
        for last in batch.bad_in_a_row(longest):
            longest = max(longest, last)
        if longest > MAX_REFUSED_IN_A_ROW:
            self.stopped[place] = (
                f"{batch.stage}: {longest} records of {batch.topic}/{batch.partition} in a row "
                f"could not be processed, before offset {batch.last_offset + 1}; the partition is "
                "stopped. See `headrace dlq list`, mend the cause, start the role again"
            )
            return False
        self._runs[place] = last
        return True
