"""The watchdog: a worker that stands still while there is work ends, and is started again.

Faust consumers have a history of stopping without a word after a lost heartbeat or a broker's
restart; its own detector only logs.
"""

from collections.abc import Callable, Mapping
from time import monotonic

from faust.types import TP

LIMIT_SECONDS = 90.0


class StuckError(Exception):
    """A partition has work and makes no progress; whoever starts the worker again mends it."""


class Watchdog:
    """Compares, time after time, how far each partition is done with where its log ends."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._since: dict[TP, tuple[int, float]] = {}

    def look(self, done: Mapping[TP, int], ends: Mapping[TP, int]) -> None:
        """Take note of the offsets that come next and last, for each partition.

        `StuckError` when a partition with work was at the same offset for 90 s. A partition
        that is not named, or has no work, begins anew.
        """
        now = self._clock()
        behind = {tp: done[tp] for tp in done if ends.get(tp, 0) > done[tp]}
        self._since = {
            tp: self._since[tp] if self._since.get(tp, (-1,))[0] == offset else (offset, now)
            for tp, offset in behind.items()
        }
        for tp, (offset, since) in self._since.items():
            if now - since > LIMIT_SECONDS:
                raise StuckError(
                    f"{tp.topic}/{tp.partition} has records up to {ends[tp]} and stands at "
                    f"{offset} for {now - since:.0f} s: the worker ends, to be started again"
                )
