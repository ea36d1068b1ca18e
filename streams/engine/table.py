"""Tables whose changelog is a public topic, written and recovered by whole batches.

A batch's writes are staged, one a key, sent as whole batches and only then applied. Faust
keeps deciding when a changelog is read and when it is complete; only the storage and the
writing are ours, since Faust's cost 100 microseconds a write and 50 a recovered record.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Generic, TypeVar

from faust.tables.table import Table
from faust.types import TP

from streams.engine import marks
from streams.engine.partition_states import PartitionStates
from streams.engine.producer import BatchProducer, OutRecord

log = logging.getLogger(__name__)

S = TypeVar("S")

_STATES_A_TURN = 500


class BatchTable(Table, Generic[S]):  # type: ignore[misc]
    """States by partition and key.

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
        self._partitions: dict[int, PartitionStates[S]] = {}

    # -- what agents call

    def of(self, partition: int) -> PartitionStates[S]:
        """Return the states of one partition, the same object at any time."""
        states = self._partitions.get(partition)
        if states is None:
            states = self._partitions[partition] = PartitionStates(self._decode)
        return states

    async def stored(self, partition: int) -> AsyncIterator[tuple[bytes, S]]:
        """Yield the keys and states of a partition, without what is staged.

        Lets the loop run in between: a million states take half a minute. What something else
        wrote to the changelog and is no state is left out for good, and told in the log.
        """
        stored = self.of(partition).stored
        for index, (key, value) in enumerate(list(stored.items())):
            if index % _STATES_A_TURN == 0:
                await asyncio.sleep(0)
            try:
                state = self._decode(value)
            except ValueError as error:
                # Never in place of a state: recovery takes it for older than what workers write.
                log.error("%s/%d: what is no state is left out: %s", self.name, partition, error)  # noqa: TRY400
                del stored[key]
                continue
            yield key, state

    # -- what the worker calls

    async def write_staged(self, partition: int, offset: int, producer: BatchProducer) -> None:
        """Send what is staged of a partition to the changelog, then apply it.

        `offset` is the last that the batch read.
        """
        states = self.of(partition)
        staged = states.take_staged()
        if not staged:
            return
        version = max(offset, states.version)
        changed = marks.version_header(version)
        deleted = marks.tombstone_headers(version, states.applied_until)
        encoded: dict[bytes, bytes | None] = {}
        for index, (key, state) in enumerate(staged.items()):
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
        states.apply(encoded, version)

    def discard_staged(self, partition: int) -> None:
        """Drop what is staged of a partition: the batch has no effect."""
        self.of(partition).take_staged()

    # -- what Faust calls

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Take in whole fetches of the changelog."""
        for event in batch:
            self.of(event.message.partition).recover(event.value)

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Forget what moved away: it is read anew when it comes back."""
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        changelog = self.changelog_topic.get_topic_name()
        for tp in revoked:
            if tp.topic == changelog:
                self.of(tp.partition).forget()

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Keep only what is ours."""
        await super().on_recovery_completed(active_tps, standby_tps)
        owned = {tp.partition for tp in active_tps}
        for partition, states in self._partitions.items():
            states.end_recovery()
            if partition not in owned:
                states.forget()
