"""The watchdog: a worker without progress exits, so that its service manager restarts it."""

from collections.abc import Callable, Mapping
from time import monotonic

from aiokafka import TopicPartition

from schemas.plurals import counted

LIMIT_SECONDS = 90.0
#: Without progress for longer, the worker is not ready.
_UNREADY_SECONDS = 20.0


class StuckError(Exception):
    """A partition has records to process and makes no progress; a restart fixes it."""


class Watchdog:
    """Compares the offsets of partitions with their end offsets, and detects missing progress."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._since: dict[TopicPartition, tuple[int, float]] = {}
        #: The partition without progress, as a sentence; None if there is none.
        self.problem: str | None = None

    def check(self, done: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> None:
        """Compare the next offset and the end offset of each partition.

        Raises `StuckError` when a partition with records stayed at the same offset for 90 s. The
        time of a partition that is absent, or has no records to process, is reset.
        """
        now = self._clock()
        behind = {tp: done[tp] for tp in done if ends.get(tp, 0) > done[tp]}
        self._since = {
            tp: self._since[tp] if self._since.get(tp, (-1,))[0] == offset else (offset, now)
            for tp, offset in behind.items()
        }
        self.problem = None
        for tp, (offset, since) in self._since.items():
            idle = now - since
            if idle > LIMIT_SECONDS:
                raise StuckError(
                    f"{tp.topic}/{tp.partition} has the end offset {ends[tp]} and has been at "
                    f"offset {offset} for {idle:.0f} s: the worker exits, so that it is restarted"
                )
            if idle > _UNREADY_SECONDS:
                self.problem = (
                    f"{tp.topic}/{tp.partition} has {counted(ends[tp] - offset, 'record')} to "
                    f"process and has made no progress for {idle:.0f} s"
                )
