"""Tables whose changelog is a public topic, written and recovered by whole batches.

A batch's writes are staged, one a key, sent as whole batches and only then applied. Faust
keeps deciding when a changelog is read and when it is complete; only the storage and the
writing are ours, since Faust's cost 100 microseconds a write and 50 a recovered record.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Generic, TypeVar

from faust.tables.table import Table
from faust.types import TP

from streams.engine import marks
from streams.engine.producer import BatchProducer, OutRecord
from streams.engine.versions import Versions

log = logging.getLogger(__name__)

S = TypeVar("S")

_STATES_A_TURN = 500


class BatchTable(Table, Generic[S]):  # type: ignore[misc]
    """States by partition and key; values are kept encoded, which is small.

    Faust's store stays empty. It relies on Faust calling `apply_changelog_batch`,
    `on_rebalance` and `on_recovery_completed`.
    """

    def __init__(
        self, app: Any, changelog: Any, encode: Callable[[S], bytes], decode: Callable[[bytes], S]
    ) -> None:
        """Make the table of the Faust topic `changelog`, whose name it takes."""
        super().__init__(
            app,
            name=changelog.get_topic_name(),
            changelog_topic=changelog,
            key_type=bytes,
            value_type=bytes,
            store="memory://",
            # In fetches. Faust applies so many at once, and 1 means something else to it.
            recovery_buffer_size=2,
        )
        self._encode = encode
        self._decode = decode
        self._stored: defaultdict[int, dict[bytes, bytes]] = defaultdict(dict)
        self._versions: defaultdict[int, int] = defaultdict(lambda: -1)
        self._applied: defaultdict[int, int] = defaultdict(lambda: -1)
        #: During recovery only.
        self._recovering: defaultdict[int, Versions] = defaultdict(Versions)
        self._read: dict[tuple[int, bytes], S] = {}
        self._staged: dict[tuple[int, bytes], S | None] = {}

    # -- what agents call, through `of`

    def of(self, partition: int) -> "PartitionStates[S]":
        """Return the states of one partition."""
        return PartitionStates(self, partition)

    def read(self, partition: int, key: bytes) -> S | None:
        """Return the state of a key as this batch has it so far, or None."""
        place = (partition, key)
        if place in self._staged:
            return self._staged[place]
        if place not in self._read:
            stored = self._stored[partition].get(key)
            if stored is None:
                return None
            self._read[place] = self._decode(stored)
        return self._read[place]

    def stage(self, partition: int, key: bytes, state: S | None) -> None:
        """Stage a state, or None for a tombstone; it is written when the outputs are.

        `RuntimeError` when the batch changed a key and then deletes it: its last value must
        have been published, for consumers ignore tombstones (design D5).
        """
        if state is None and self.is_staged(partition, key):
            raise RuntimeError(f"{self.name}: {key!r} was changed and deleted in one batch")
        self._staged[partition, key] = state

    def count(self, partition: int) -> int:
        """Return how many states a partition has, without what is staged."""
        return len(self._stored[partition])

    def has(self, partition: int, key: object) -> bool:
        """Tell whether a partition has a state of a key, without what is staged."""
        return key in self._stored[partition]

    def applied_until(self, partition: int) -> int:
        """Return how far everything was applied; -1 when nothing is known of it."""
        return self._applied[partition]

    def set_applied_until(self, partition: int, offset: int) -> None:
        """Have the tombstones of this batch tell it; all that it speaks of was written."""
        self._applied[partition] = max(offset, self._applied[partition])

    def is_staged(self, partition: int, key: bytes) -> bool:
        """Tell whether this batch changed the key."""
        return (partition, key) in self._staged

    async def stored(self, partition: int) -> AsyncIterator[tuple[bytes, S]]:
        """Yield the keys and states of a partition, without what is staged.

        Lets the loop run in between: a million states take half a minute. What something else
        wrote to the changelog and is no state is left out for good, and told in the log.
        """
        for index, (key, value) in enumerate(list(self._stored[partition].items())):
            if index % _STATES_A_TURN == 0:
                await asyncio.sleep(0)
            try:
                state = self._decode(value)
            except ValueError as error:
                # Never in place of a state: recovery takes it for older than what workers write.
                log.error("%s/%d: what is no state is left out: %s", self.name, partition, error)  # noqa: TRY400
                del self._stored[partition][key]
                continue
            yield key, state

    # -- what the worker calls

    async def write_staged(self, partition: int, offset: int, producer: BatchProducer) -> None:
        """Send what is staged to the changelog, then apply it.

        `offset` is the last that the batch read. Every staged key belongs to `partition`.
        """
        staged, self._staged, self._read = self._staged, {}, {}
        if not staged:
            return
        version = max(offset, self._versions[partition])
        changed = marks.version_header(version)
        deleted = marks.tombstone_headers(version, self._applied[partition])
        encoded: dict[bytes, bytes | None] = {}
        for index, ((_, key), state) in enumerate(staged.items()):
            if index % _STATES_A_TURN == 0:
                await asyncio.sleep(0)
            encoded[key] = None if state is None else self._encode(state)
        await producer.send(
            self.changelog_topic.get_topic_name(),
            partition,
            [
                OutRecord(key, value, deleted if value is None else changed)
                for key, value in encoded.items()
            ],
        )
        self._versions[partition] = version
        for key, value in encoded.items():
            self._apply(partition, key, value)

    def discard_staged(self) -> None:
        """Drop what is staged: the batch has no effect."""
        self._staged, self._read = {}, {}

    def _apply(self, partition: int, key: bytes, value: bytes | None) -> None:
        if value is None:
            self._stored[partition].pop(key, None)
        else:
            self._stored[partition][key] = value

    # -- what Faust calls

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Take in whole fetches of the changelog."""
        for event in batch:
            for record in event.value:
                self._recover(record)

    def _recover(self, record: Any) -> None:
        version = marks.version_of(record)
        if record.value is None:
            self.set_applied_until(record.partition, marks.applied_until(record))
        if not self._recovering[record.partition].is_news(record.key, version):
            return
        self._versions[record.partition] = max(version, self._versions[record.partition])
        self._apply(record.partition, record.key, record.value)

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Forget what moved away: it is read anew when it comes back."""
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        changelog = self.changelog_topic.get_topic_name()
        for tp in revoked:
            if tp.topic == changelog:
                self._forget(tp.partition)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Keep only what is ours."""
        await super().on_recovery_completed(active_tps, standby_tps)
        self._recovering.clear()
        owned = {tp.partition for tp in active_tps}
        for partition in set(self._stored) - owned:
            self._forget(partition)

    def _forget(self, partition: int) -> None:
        self._stored.pop(partition, None)
        self._versions.pop(partition, None)
        self._applied.pop(partition, None)
        self._recovering.pop(partition, None)


class PartitionStates(Generic[S]):
    """The states of one partition of a table: what the rules are given."""

    def __init__(self, table: BatchTable[S], partition: int) -> None:
        self._table = table
        self._partition = partition

    def __len__(self) -> int:
        """Return how many there were when the batch began."""
        return self._table.count(self._partition)

    def __contains__(self, key: object) -> bool:
        """Tell whether a key had a state when the batch began."""
        return self._table.has(self._partition, key)

    @property
    def applied_until(self) -> int:
        """How far in the source everything had had its effect when the batch began."""
        return self._table.applied_until(self._partition)

    @applied_until.setter
    def applied_until(self, offset: int) -> None:
        self._table.set_applied_until(self._partition, offset)

    def get(self, key: bytes) -> S | None:
        """Return the state of a key as this batch has it so far, or None."""
        return self._table.read(self._partition, key)

    def put(self, key: bytes, state: S) -> None:
        """Stage a state."""
        self._table.stage(self._partition, key, state)

    def delete(self, key: bytes) -> None:
        """Stage a tombstone; `RuntimeError` when this batch changed the key."""
        self._table.stage(self._partition, key, None)

    def is_changed(self, key: bytes) -> bool:
        """Tell whether this batch changed the key."""
        return self._table.is_staged(self._partition, key)
