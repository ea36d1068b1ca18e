"""The offsets of a consumer group: start positions and commits."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.kafka_settings import KafkaSettings
from streams.engine.offsets import ask_committed

log = logging.getLogger(__name__)

_COMMIT_SECONDS = 1.0
#: How long a commit is waited for, if the broker does not answer.
_COMMIT_LIMIT_SECONDS = 5.0

Offsets = Mapping[TopicPartition, int]


class GroupOffsets:
    """Seeks to the start offsets of an assignment, and commits `done`."""

    def __init__(self, kafka: KafkaSettings, group_id: str) -> None:
        self._kafka = kafka
        self._group_id = group_id
        #: The started consumer of the group.
        self.consumer: Any = None
        #: For each partition, the offset after the last batch whose effects are durable. A batch of
        #: the previous assignment updates the dict of that assignment.
        self.done: dict[TopicPartition, int] = {}
        self._committed: Offsets = {}
        self._committing = asyncio.Lock()
        self._in_flight: asyncio.Task[bool] | None = None
        self._has_progress = asyncio.Event()

    async def seek(self, owned: Collection[TopicPartition], starts: Offsets) -> Offsets:
        """Seek to `starts`, and return the position of each owned partition.

        Partitions without a start are read from the group's offset, or from their beginning.
        Raises `KafkaError` while the group's offsets are not available.
        """
        if starts:
            earliest = await self.consumer.beginning_offsets(starts)
            for tp, offset in starts.items():
                # Retention may have deleted the records from there on.
                self.consumer.seek(tp, max(offset, earliest[tp]))
        positions: dict[TopicPartition, int] = {
            tp: await self.consumer.position(tp) for tp in owned
        }
        positions.update(
            await self._overlooked(
                {tp: offset for tp, offset in positions.items() if tp not in starts}
            )
        )
        return positions

    async def _overlooked(self, positions: Offsets) -> Offsets:
        """Seek to committed offsets that the consumer overlooked, and return them.

        aiokafka takes an OffsetFetch response with an error for one without offsets, and then
        reads a partition from its beginning.
        """
        begins = await self.consumer.beginning_offsets(positions)
        ends = await self.consumer.end_offsets(positions)
        suspects = [tp for tp, offset in positions.items() if offset == begins[tp] < ends[tp]]
        if not suspects:
            return {}
        committed = await ask_committed(self._kafka, self._group_id)
        overlooked = {tp: committed[tp] for tp in suspects if committed.get(tp, -1) > positions[tp]}
        for tp, offset in overlooked.items():
            self.consumer.seek(tp, offset)
        return overlooked

    def begin(self, positions: Offsets) -> None:
        """Begin an assignment with the positions of its partitions."""
        self.done = dict(positions)
        self._committed = dict(positions)

    def note_done(self, done: dict[TopicPartition, int], tp: TopicPartition, offset: int) -> None:
        """Record in `done` an offset up to which all effects are durable; it is committed soon."""
        done[tp] = offset
        self._has_progress.set()

    async def commit_regularly(self, is_open: asyncio.Event) -> None:
        """Commit one second after progress; retry until it succeeds.

        A commit during a rebalance, while `is_open` is not set, would start another rebalance.
        """
        while True:
            await self._has_progress.wait()
            self._has_progress.clear()
            await asyncio.sleep(_COMMIT_SECONDS)
            await is_open.wait()
            if not await self.commit():
                self._has_progress.set()

    async def commit(self) -> bool:
        """Commit `done`; return False if the commit failed, or is not answered yet.

        An unanswered commit stays in flight, and the next call waits for it.
        """
        async with self._committing:
            if self._in_flight is None:
                pending = {
                    tp: offset
                    for tp, offset in self.done.items()
                    if self._committed.get(tp) != offset
                }
                if not pending:
                    return True
                self._in_flight = asyncio.ensure_future(self._send(pending))
            done, _ = await asyncio.wait([self._in_flight], timeout=_COMMIT_LIMIT_SECONDS)
            if not done:
                log.info("offsets not committed yet: the group coordinator does not answer")
                return False
            (task, self._in_flight) = (self._in_flight, None)
            return not task.cancelled() and task.result()

    async def commit_last(self) -> None:
        """Commit at the end of this generation; cancel a commit that is not answered in time."""
        await self.commit()
        if self._in_flight is not None:
            self._in_flight.cancel()
            self._in_flight = None

    async def _send(self, pending: Offsets) -> bool:
        try:
            await self.consumer.commit(pending)
        except KafkaError as error:
            log.info("offsets not committed (%r)", error)
            return False
        self._committed = {**self._committed, **pending}
        return True
