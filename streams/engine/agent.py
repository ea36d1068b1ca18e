"""Agents: each processes the batches of one source topic."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.topics import Topic
from streams.engine.aggregator import Aggregator
from streams.engine.batch import Batch
from streams.engine.capacity import Capacity
from streams.engine.events import EventStream, ReadEvent, now_ms, read_events
from streams.engine.stream_time import StreamTime
from streams.engine.table import BatchTable

#: Outputs of `flush` that are encoded before other tasks run.
_OUTPUTS_PER_STEP = 500

#: Processes a batch: a plain function, or a coroutine function, as in the role `sinks`.
Process = Callable[[Batch], Awaitable[None] | None]
#: Called before a partition's first batch after each assignment.
Prepare = Callable[[int], Awaitable[None]]
#: Applies the events of a batch to the aggregator of its partition.
Aggregate = Callable[[EventStream, Any], Awaitable[None]]
#: Returns a new aggregator, given the states and the number of its partition.
NewAggregator = Callable[[Any, int], Aggregator[Any]]


@dataclass
class Agent:
    """An agent: its source topic, function and tables. `name` is the name of the function."""

    name: str
    source: Topic
    process: Process
    tables: Sequence[BatchTable[Any]]
    prepare: Prepare | None
    #: For each partition, the group generation of the last preparation.
    _prepared: dict[int, int] = field(default_factory=dict)

    async def ensure_prepared(self, partition: int, generation: int) -> None:
        """Call `prepare` for a partition, once per group generation."""
        if self.prepare is not None and self._prepared.get(partition) != generation:
            await self.prepare(partition)
            self._prepared[partition] = generation

    def discard(self, partition: int) -> None:
        """Discard the staged changes of a partition: its batch has no effect."""
        for table in self.tables:
            table.discard_staged(partition)


@dataclass
class Aggregation:
    """Runs the aggregators of an agent, one per partition of its table."""

    aggregate: Aggregate
    table: BatchTable[Any]
    new: NewAggregator
    read: ReadEvent
    capacity: Capacity
    sends_to: Topic | None
    #: Awaited before a partition's first batch.
    needs: Callable[[], Awaitable[None]] | None
    #: The epoch of the cluster. Events of earlier epochs were applied before it began.
    epoch: int = 0
    _times: StreamTime = field(default_factory=StreamTime)
    _aggregators: dict[int, Aggregator[Any]] = field(default_factory=dict)

    async def prepare(self, partition: int) -> None:
        """Create and restore the aggregator of a partition."""
        if self.needs is not None:
            await self.needs()
        aggregator = self.new(self.table.of(partition), partition)
        async for key, state in self.table.stored(partition):
            aggregator.restore(key, state)
        self._aggregators[partition] = aggregator

    async def process(self, batch: Batch) -> None:
        """Evict states beyond the limit, apply the events, and emit the remaining outputs."""
        aggregator = self._aggregators[batch.partition]
        limit = self.capacity.limit_of(self.table.of(batch.partition))
        batch.evicted = aggregator.evict(limit, self._times.begin_batch(now_ms()))
        events = read_events(batch, self.read, self._times, self.epoch)
        stream = EventStream(batch, events, aggregator, self.sends_to)
        await self.aggregate(stream, aggregator)
        for number, (key, record) in enumerate(aggregator.flush(), 1):
            stream.send(key, record)
            if number % _OUTPUTS_PER_STEP == 0:
                await asyncio.sleep(0)  # so that the fence gets its heartbeats
