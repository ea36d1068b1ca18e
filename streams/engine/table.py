"""Tables whose changelog is a public topic, written and restored in batches.

Writes of a batch are staged by key, sent together, and applied once they are acknowledged. Faust's
own tables cost 100 µs per write and 50 µs per restored record.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from typing import Any, Generic, TypeVar

from schemas.topics import Topic
from streams.engine import changelog_headers
from streams.engine.partition_states import PartitionStates
from streams.engine.producer import BatchProducer, out_record

log = logging.getLogger(__name__)

S = TypeVar("S")

#: States that are decoded or encoded before other tasks run.
_STATES_PER_STEP = 500


class BatchTable(Generic[S]):
    """Keyed states by partition, whose changelog is `topic`."""

    def __init__(
        self, topic: Topic, encode: Callable[[S], bytes], decode: Callable[[bytes], S]
    ) -> None:
        self.topic = topic
        self._encode = encode
        self._decode = decode
        self._partitions: dict[int, PartitionStates[S]] = {}
        #: By partition, the end offset of the changelog up to which its states are complete.
        self._ends: dict[int, int] = {}

    # -- called by agents

    def of(self, partition: int) -> PartitionStates[S]:
        """Return the states of one partition, always the same object."""
        states = self._partitions.get(partition)
        if states is None:
            states = self._partitions[partition] = PartitionStates(self._decode)
        return states

    @property
    def parts(self) -> Collection[PartitionStates[S]]:
        """The states of all partitions."""
        return self._partitions.values()

    async def stored(self, partition: int) -> AsyncIterator[tuple[bytes, S]]:
        """Yield the keys and states of a partition, without staged changes.

        Yields to the event loop regularly: a million states take half a minute. Records of the
        changelog that cannot be decoded are dropped and logged.
        """
        stored = self.of(partition).stored
        for index, (key, value) in enumerate(list(stored.items())):
            if index % _STATES_PER_STEP == 0:
                await asyncio.sleep(0)
            try:
                state = self._decode(value)
            except ValueError as error:
                # It replaced no state: restoration prefers records that have a version.
                log.error(  # noqa: TRY400
                    "%s/%d: dropped a record that is not a state: %s",
                    self.topic.name,
                    partition,
                    error,
                )
                self.of(partition).drop(key)
                continue
            yield key, state

    # -- called by the worker

    async def write_staged(self, partition: int, offset: int, producer: BatchProducer) -> None:
        """Write the staged changes of a partition to the changelog, then apply them.

        `offset` is the last offset of the batch.
        """
        states = self.of(partition)
        staged = states.take_staged()
        if not staged:
            return
        version = max(offset, states.version)
        changed = changelog_headers.version_header(version)
        deleted = changelog_headers.tombstone_headers(version, states.applied_until)
        encode, records = self._encode, []
        for start in range(0, len(staged), _STATES_PER_STEP):
            await asyncio.sleep(0)
            records += [
                out_record((key, None, deleted) if state is None else (key, encode(state), changed))
                for key, state in staged[start : start + _STATES_PER_STEP]
            ]
        before = self._ends.pop(partition, None)
        end = await producer.send(self.topic.name, partition, records)
        if before is not None and end - before == len(records):  # else another worker wrote, too
            self._ends[partition] = end
        written = zip(staged, records, strict=True)
        states.apply({key: record.value for (key, _), record in written}, version, staged)

    def discard_staged(self, partition: int) -> None:
        """Discard the staged changes of a partition: the batch has no effect."""
        self.of(partition).take_staged()

    # -- called in rebalances

    def retain(self, partitions: Collection[int]) -> None:
        """Drop the states of all partitions except these."""
        for partition in self._partitions.keys() - partitions:
            self.of(partition).clear()
            self._ends.pop(partition, None)

    def is_complete(self, partition: int, end: int) -> bool:
        """Return True if the states include all changelog records below the offset `end`."""
        return self._ends.get(partition) == end

    def begin_recovery(self, partition: int) -> None:
        """Drop the states of a partition before its changelog is read from the beginning."""
        self._ends.pop(partition, None)
        self.of(partition).clear()

    def recover(self, partition: int, records: Iterable[Any]) -> None:
        """Apply records of the changelog."""
        self.of(partition).recover(records)

    def end_recovery(self, partition: int, end: int) -> None:
        """Finish the restoration of a partition whose changelog was read up to `end`."""
        self.of(partition).end_recovery()
        self._ends[partition] = end
