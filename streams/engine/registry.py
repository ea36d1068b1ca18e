"""Registration of agents and their tables, in the manner of a Faust app."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeVar

from schemas.codec import decode, encode, projection
from schemas.records import RawEvent, Record
from schemas.topics import Topic
from streams.engine.agent import (
    Agent,
    Aggregate,
    Aggregation,
    NewAggregator,
    Prepare,
    Process,
)
from streams.engine.capacity import Capacity
from streams.engine.table import BatchTable

S = TypeVar("S")
R = TypeVar("R", bound=Record)


class AgentRegistry(ABC):
    """Creates tables, and agents from functions. `epoch` is that of the cluster."""

    def __init__(self, capacity: Capacity, epoch: int) -> None:
        self.capacity = capacity
        self._epoch = epoch

    @abstractmethod
    def add(self, agent: Agent) -> None:
        """Add an agent."""

    def table(self, topic: Topic, record: type[R]) -> BatchTable[R]:
        """Create a table of Avro records whose changelog is `topic`."""
        return self.raw_table(topic, encode, lambda value: decode(value, record))

    def raw_table(
        self, topic: Topic, encode: Callable[[S], bytes], decode: Callable[[bytes], S]
    ) -> BatchTable[S]:
        """Create a table of states that are not Avro records."""
        table: BatchTable[S] = BatchTable(topic, encode, decode)
        self.capacity.tables.append(table)
        return table

    def agent(
        self,
        source: Topic,
        *,
        tables: Sequence[BatchTable[Any]] = (),
        prepare: Prepare | None = None,
    ) -> Callable[[Process], Process]:
        """Register the agent of `source`, a function of its batches."""

        def register(process: Process) -> Process:
            self.add(Agent(process.__name__, source, process, tables, prepare))
            return process

        return register

    def aggregating_agent(  # noqa: PLR0913 - keyword arguments
        self,
        source: Topic,
        *,
        table: BatchTable[Any],
        aggregator: NewAggregator,
        reads: Collection[str],
        sends_to: Topic | None = None,
        needs: Callable[[], Awaitable[None]] | None = None,
    ) -> Callable[[Aggregate], Aggregate]:
        """Register the agent of `source`, a function of its events and an aggregator.

        Each partition of `table` has an `aggregator`. Events are decoded with the fields in `reads`
        only. Batches are processed once `needs` has returned.
        """

        def register(aggregate: Aggregate) -> Aggregate:
            read = projection(RawEvent, *reads)
            run = Aggregation(
                *(aggregate, table, aggregator, read, self.capacity, sends_to, needs),
                epoch=self._epoch,
            )
            self.add(Agent(aggregate.__name__, source, run.process, [table], run.prepare))
            return aggregate

        return register
