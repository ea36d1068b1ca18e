"""An agent as a worker knows it: what it reads, and what it does with a batch."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.topics import Topic
from streams.engine.batch import Batch
from streams.engine.table import BatchTable

#: A function of a batch, plain for streams, async for sinks.
Process = Callable[[Batch], Awaitable[None] | None]
#: Called before a partition's first batch after each assignment.
Prepare = Callable[[int], Awaitable[None]]


@dataclass
class Agent:
    """The one agent of a topic, under the name of its function."""

    name: str
    source: Topic
    process: Process
    tables: Sequence[BatchTable[Any]]
    prepare: Prepare | None
    #: For each partition, the generation of the group that it was prepared in.
    _prepared: dict[int, int] = field(default_factory=dict)

    async def ready_for(self, partition: int, generation: int) -> None:
        """Prepare for a partition, once in a generation of the group."""
        if self.prepare is not None and self._prepared.get(partition) != generation:
            await self.prepare(partition)
            self._prepared[partition] = generation

    def discard(self, partition: int) -> None:
        """Drop what a batch of a partition changed: it has no effect."""
        for table in self.tables:
            table.discard_staged(partition)
