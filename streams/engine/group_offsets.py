"""The offsets of a consumer group: start positions and commits."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.kafka_settings import KafkaSettings
from streams.engine.offsets import fetch_committed

log = logging.getLogger(__name__)

_COMMIT_SECONDS = 1.0
#: How long `commit` waits for the response of the broker.
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
        # Not from the consumer: it requests them one by one, and treats an error as no offset.
        committed: Offsets = {}
        if set(owned) - starts.keys():
            committed = await fetch_committed(self._kafka, self._group_id)
        positions: dict[TopicPartition, int] = {}
        for tp, begin in (await self.consumer.beginning_offsets(owned)).items():
            # Retention may have deleted the records at the start offset.
            positions[tp] = max(begin, starts.get(tp, committed.get(tp, begin)))
            self.consumer.seek(tp, positions[tp])
        return positions

    def begin(self, positions: Offsets) -> None:
        """Begin an assignment, given the positions of its partitions."""
        self.done = dict(positions)
        self._committed = dict(positions)

    def note_done(self, done: dict[TopicPartition, int], tp: TopicPartition, offset: int) -> None:
        """Set the offset of a partition in `done`, and schedule its commit."""
        done[tp] = offset
        self._has_progress.set()

    async def commit_regularly(self, is_open: asyncio.Event) -> None:
        """Commit `done` one second after it changes; retry until the commit succeeds.

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
        """Commit `done`; return False if the commit failed, or has no response yet.

        Without a response, the commit stays in flight, and the next call waits for it.
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
                log.info("offsets not committed yet: the group coordinator does not respond")
                return False
            (task, self._in_flight) = (self._in_flight, None)
            return not task.cancelled() and task.result()

    async def commit_last(self) -> None:
        """Commit at the end of an assignment; cancel a commit that gets no response in time."""
        # A commit that is in flight already may have earlier offsets.
        if self._in_flight is None or await self.commit():
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
