"""Process batches, and make their effects durable.

Outputs, then state, then the commit, each awaited before the next (design D4): a crash in between
only repeats outputs, and every output is idempotent.
"""

import asyncio
import inspect
import logging
import time
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from schemas.headers import DLQ_REASON, find
from schemas.log_context import POSITION
from schemas.plurals import counted
from schemas.topics import dead_letters_of
from streams.engine.agent import Agent
from streams.engine.batch import Batch
from streams.engine.capacity import Capacity
from streams.engine.circuit_breaker import CircuitBreaker, PartitionStoppedError
from streams.engine.fencing import Fence, FencedError, exit_fenced
from streams.engine.group import GroupMember
from streams.engine.metrics import BatchCounters
from streams.engine.producer import BatchProducer, StoppingError

if TYPE_CHECKING:
    from schemas.tracing import Tracer

log = logging.getLogger(__name__)


class BatchProcessor:
    """Runs the agents of a worker on its batches, and writes outputs, dead letters and states."""

    def __init__(
        self,
        group: GroupMember,
        producer: BatchProducer,
        fence: Fence,
        breaker: CircuitBreaker,
        capacity: Capacity,
    ) -> None:
        self._group = group
        self._producer = producer
        self._fence = fence
        self._breaker = breaker
        self._capacity = capacity
        self._gave_up = False
        self.counters = BatchCounters()
        #: Set if traces are enabled.
        self.tracer: Tracer | None = None

    @property
    def dead_letters(self) -> int:
        """The number of records dead-lettered since the start."""
        return self.counters.dead_letters.total()

    async def process(self, agent: Agent, batch: Batch) -> bool:
        """Process a batch; return True when its effects are durable.

        If a batch could not be written while the worker stops, all later ones are skipped.
        """
        if self._gave_up:
            return False
        started_at = time.perf_counter()
        POSITION.set(batch.place)
        try:
            if self.tracer is None:
                await self._run(agent, batch)
            else:
                with self.tracer.batch(agent.name, batch.topic, batch.partition, batch.records):
                    await self._run(agent, batch)
            self.counters.observe(batch, time.perf_counter() - started_at)
            self._breaker.note_processed(batch)
            self._capacity.log_evictions(batch)
        except PartitionStoppedError as stopped:
            log.critical(stopped)
            self._group.pause(TopicPartition(batch.topic, batch.partition))
            return False
        except StoppingError as reason:
            # The states of a later batch would mark this one as applied.
            self._gave_up = True
            log.warning("%s: stopped in the middle of a batch: %s", agent.name, reason)
            return False
        except FencedError as error:
            exit_fenced(error)
        return True

    async def _run(self, agent: Agent, batch: Batch) -> None:
        """Process a batch and make its effects durable: outputs, then state."""
        await agent.ensure_prepared(batch.partition, self._group.generation)
        try:
            outcome = agent.process(batch)
            if inspect.isawaitable(outcome):
                await outcome
            await self.send_dead_letters(batch)
        except PartitionStoppedError:
            agent.discard(batch.partition)
            raise
        self.check_owned(batch)
        await asyncio.gather(
            *(self._producer.send(*tp, records) for tp, records in batch.outputs.items())
        )
        for table in agent.tables:
            self.check_owned(batch)
            await table.write_staged(batch.partition, batch.last_offset, self._producer)

    async def send_dead_letters(self, batch: Batch) -> None:
        """Send the batch's dead letters; sinks call it before they commit their offset.

        Raises `PartitionStoppedError` after too many consecutive dead letters.
        """
        self._breaker.check(batch)
        rejected, batch.dead_letters = batch.dead_letters, []
        if not rejected:
            return
        self.check_owned(batch)
        topic = dead_letters_of(batch.topic)
        await self._producer.send(topic, batch.partition, rejected)
        for letter in rejected:
            # The last one: a replayed dead letter has the headers of the first one, too.
            reason = (find(reversed(letter.headers), DLQ_REASON) or b"").decode()
            self.counters.dead_letters[batch.stage, reason] += 1
        log.warning(
            "%s: %s went to %s; see `headrace dlq list`",
            batch.stage,
            counted(len(rejected), "record"),
            topic,
        )

    def check_owned(self, batch: Batch) -> None:
        """Raise `FencedError` if another worker may own the batch's partition.

        Call it before each write.
        """
        self._fence.check()
        if TopicPartition(batch.topic, batch.partition) not in self._group.owned:
            raise FencedError(
                f"{batch.topic}/{batch.partition} was reassigned while its batch was processed"
            )
