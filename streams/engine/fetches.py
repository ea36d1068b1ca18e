"""The fetches of a group member: which partitions the consumer fetches, and when."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition

from streams.engine.fetch_sizing import FetchDelay, FetchRate

#: New records, errors and rebalances end this wait.
IDLE_MS = 30_000
#: `max.poll.records`. Without a limit, small records of one batch could block the event loop, which
#: also sends the heartbeats.
_MAX_RECORDS = 5_000

Fetch = Mapping[TopicPartition, Sequence[Any]]


class Fetches:
    """Pauses and resumes the partitions of an assignment, and returns their records."""

    def __init__(self) -> None:
        #: The started consumer of the group.
        self.consumer: Any = None
        self._owned: frozenset[TopicPartition] = frozenset()
        #: Partitions that are not read until the next assignment.
        self._stopped: set[TopicPartition] = set()
        #: The topics whose last fetch did not reach the end offsets.
        self._behind: set[str] = set()
        self._is_open = False
        self._rate = FetchRate()
        self._delay = FetchDelay(self._pause, self._resume)

    def assign(self, owned: Collection[TopicPartition]) -> None:
        """Begin an assignment, whose partitions are paused until `open`."""
        self._owned = frozenset(owned)
        self._stopped.clear()
        self._behind.clear()
        self.consumer.pause(*owned)

    def open(self) -> None:
        """Fetch the assigned partitions."""
        self._is_open = True
        self._resume()

    def close(self) -> None:
        """End the assignment: no partition is paused or resumed any more."""
        self._is_open = False
        self._delay.cancel()

    def stop(self, partitions: Collection[TopicPartition]) -> None:
        """Stop fetching partitions until they are assigned again."""
        assigned = self.consumer.assignment().intersection(partitions)
        self._stopped.update(assigned)
        self.consumer.pause(*assigned)

    async def next(self, partitions: Sequence[TopicPartition]) -> Fetch:
        """Return the next records of partitions of one topic; delay the next fetch at high rates.

        Raises `KafkaError`.
        """
        fetched: Fetch = await self.consumer.getmany(
            *partitions, timeout_ms=IDLE_MS, max_records=_MAX_RECORDS
        )
        delay = self._rate.add(sum(map(len, fetched.values())))
        if any(self._is_behind(tp, records) for tp, records in fetched.items()):
            self._behind.add(partitions[0].topic)
        else:
            self._behind.discard(partitions[0].topic)
            if delay and fetched and self._is_open:
                self.consumer.pause(*partitions)  # before the consumer fetches again
                self._delay.begin(delay)
        return fetched

    async def wait(self, topic: str) -> None:
        """Return when the next fetch of a topic is due: at once if it has a backlog."""
        if topic not in self._behind:
            await self._delay.wait()

    def high_watermark(self, tp: TopicPartition) -> int | None:
        """Return the end offset of a partition in its last fetch; None before it."""
        end: int | None = self.consumer.highwater(tp)
        return end

    def _is_behind(self, tp: TopicPartition, records: Sequence[Any]) -> bool:
        """Return True if the partition has records after the fetched ones."""
        end = self.high_watermark(tp)
        return end is not None and records[-1].offset + 1 < end

    def _pause(self) -> None:
        """Pause all partitions, except those of topics that have a backlog."""
        self.consumer.pause(*(tp for tp in self._owned if tp.topic not in self._behind))

    def _resume(self) -> None:
        self.consumer.resume(*(self._owned - self._stopped))
