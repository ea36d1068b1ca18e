"""The brake: when everything looks bad, the fault is ours, and dead letters do not help.

After sentry-arroyo's DLQ limit: a partition whose records are refused one after another is
stopped, not emptied into the dead letter topic (design D4).
"""

from collections import defaultdict

from streams.engine.batch import Batch

#: So many refused records in a row stop their partition, unless a setting says otherwise.
MAX_REFUSED_IN_A_ROW = 50


class PartitionStoppedError(Exception):
    """The brake holds this partition; the message says what to do."""


class Brake:
    """Counts, for each topic and partition, how many records in a row were refused."""

    def __init__(self, most: int = MAX_REFUSED_IN_A_ROW) -> None:
        self._most = most
        self._runs: defaultdict[tuple[str, int], int] = defaultdict(int)
        #: Stopped partitions, and why, as a sentence.
        self.stopped: dict[tuple[str, int], str] = {}

    def check(self, batch: Batch) -> None:
        """Call before a batch's dead letters are sent.

        `PartitionStoppedError` when its partition is stopped, or this batch makes it so: then
        the batch must have no effect, and is read again after a restart.
        """
        place = (batch.topic, batch.partition)
        longest = max(batch.bad_in_a_row(self._runs[place]))
        if longest > self._most:
            self.stopped[place] = (
                f"{batch.stage}: {longest} records of {batch.topic}/{batch.partition} in a row "
                f"could not be processed ({batch.last_reason}), before offset "
                f"{batch.last_offset + 1}; the partition is stopped. See `headrace dlq list`, mend "
                "the cause, start the role again; docs/dead-letters.md says more"
            )
        if place in self.stopped:
            raise PartitionStoppedError(self.stopped[place])

    def passed(self, batch: Batch) -> None:
        """Note that a batch is done."""
        place = (batch.topic, batch.partition)
        *_, self._runs[place] = batch.bad_in_a_row(self._runs[place])
