"""The lag of a worker's partitions, in records and in seconds.

It is exact up to the last known end offsets. The log append time of the oldest unprocessed record
is known while its batch is processed. Otherwise, that of the last processed record is used if more
records were waiting behind it, or else the time at which unprocessed records were first seen.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import TopicPartition


class Lag(NamedTuple):
    """The number of unprocessed offsets, and the age (s) of the oldest unprocessed record."""

    records: int
    seconds: float


class LagMeter:
    """Measures the lag of partitions. `clock` is the Unix time in seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._ends: dict[TopicPartition, int] = {}
        #: By partition, the time (s) from which records are unprocessed; none if it is unknown.
        self._since: dict[TopicPartition, float] = {}

    def assign(self) -> None:
        """Forget the previous assignment."""
        self._ends, self._since = {}, {}

    def begin_batch(self, tp: TopicPartition, records: Sequence[Any]) -> None:
        """Note that a batch was fetched: its first record is the oldest unprocessed one."""
        self._since[tp] = records[0].timestamp / 1_000

    def end_batch(self, tp: TopicPartition, records: Sequence[Any], end: int) -> None:
        """Note that a batch was processed; `end` is the end offset in the last fetch."""
        end = self._ends[tp] = max(end, self._ends.get(tp, 0))
        if records[-1].offset + 1 < end:
            self._since[tp] = records[-1].timestamp / 1_000
        else:
            self._since.pop(tp, None)

    def update_ends(
        self, ends: Mapping[TopicPartition, int], done: Mapping[TopicPartition, int]
    ) -> None:
        """Set the end offsets; `done` are the offsets up to which records are processed."""
        self._ends.update(ends)
        for tp, end in ends.items():
            if done.get(tp, end) < end:
                self._since.setdefault(tp, self._clock())

    def measure(self, done: Mapping[TopicPartition, int]) -> dict[TopicPartition, Lag]:
        """Return the lag of each partition in `done` whose end offset is known."""
        now, lags = self._clock(), {}
        for tp, offset in done.items():
            if (end := self._ends.get(tp)) is not None:
                records = max(0, end - offset)
                since = self._since.get(tp, now) if records else now
                lags[tp] = Lag(records, max(0.0, now - since))
        return lags
