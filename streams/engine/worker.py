"""One worker of one role: a Faust app whose agents receive whole fetches.

Outputs, then state, then ack, each awaited before the next (design D4): a crash between two
of them only repeats outputs, and every output is idempotent.
"""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from aiokafka.errors import KafkaError
from faust.types import TP
from mode import CrashingSupervisor

from schemas.topics import Topic, dead_letters_of
from streams.engine.agent import Agent, Prepare, Process
from streams.engine.batch import Batch
from streams.engine.brake import MAX_REFUSED_IN_A_ROW, Brake, PartitionStoppedError
from streams.engine.consumer import Positions
from streams.engine.faust_app import SESSION_TIMEOUT_SECONDS, faust_app
from streams.engine.fetches import FetchSchema
from streams.engine.guard import FrozenError, FrozenGuard, end_frozen
from streams.engine.producer import BatchProducer, StoppingError
from streams.engine.room import MAX_STATES, Room
from streams.engine.table import BatchTable
from streams.engine.watchdog import Watchdog

log = logging.getLogger(__name__)

S = TypeVar("S")

#: What a worker runs beside its agents.
Job = Callable[[], Awaitable[None]]

_WATCH_SECONDS = 10.0


class Worker:
    """A Faust app, its agents, tables and producer, from start to stop.

    `app_id` is the consumer group and never changes. `positions` replaces the group's
    offsets as the place where reading begins; a worker with it has no tables.
    """

    def __init__(
        self,
        app_id: str,
        bootstrap_servers: str,
        *,
        positions: Positions | None = None,
        max_refused_in_a_row: int = MAX_REFUSED_IN_A_ROW,
        max_states: int = MAX_STATES,
    ) -> None:
        self.app_id = app_id
        self.faust = faust_app(app_id, bootstrap_servers, positions)
        self.producer = BatchProducer(bootstrap_servers, lambda: self._stopping)
        self.guard = FrozenGuard(SESSION_TIMEOUT_SECONDS / 2)
        self.brake = Brake(max_refused_in_a_row)
        self.room = Room(max_states)
        self._watchdog = Watchdog()
        #: Records dead-lettered since the start.
        self.dead_letters = 0
        #: More reasons not to be ready: each returns a sentence, or None.
        self.checks: list[Callable[[], str | None]] = []
        self._background: list[Job] = []
        self._stopping = False
        self._gave_up = False

    # -- what roles are built with

    def table(
        self, topic: Topic, encode: Callable[[S], bytes], decode: Callable[[bytes], S]
    ) -> BatchTable[S]:
        """Make the table whose changelog is `topic`."""
        changelog = self.faust.topic(topic.name, schema=FetchSchema(), acks=False, maxsize=8)
        table: BatchTable[S] = BatchTable(self.faust, changelog, encode, decode)
        self.faust.tables.add(table)
        return table

    def agent(
        self,
        source: Topic,
        process: Process,
        *,
        tables: Sequence[BatchTable[Any]] = (),
        prepare: Prepare | None = None,
    ) -> None:
        """Register `process` as the one agent of `source`; its name is the agent's."""
        agent = Agent(process.__name__, source, process, tables, prepare)

        async def consume(stream: Any) -> None:
            async for event in stream.noack().events():
                await self.handle(agent, event)

        channel = self.faust.topic(source.name, schema=FetchSchema())
        self.faust.agent(
            channel, name=agent.name, concurrency=1, supervisor_strategy=CrashingSupervisor
        )(consume)

    def every(self, seconds: float, job: Job, *, due: Job | None = None) -> None:
        """Run `job` again and again, `seconds` apart, while the worker runs; wait for `due`."""

        async def repeat() -> None:
            while True:
                await asyncio.sleep(seconds)
                if due is not None:
                    await due()
                await job()

        self.beside(repeat)

    def beside(self, job: Job) -> None:
        """Run `job` while the worker runs, and cancel it then; an error in it ends the worker."""
        self._background.append(job)

    def partitions_of(self, topic: Topic) -> list[int]:
        """Return the partitions of `topic` that this worker owns now."""
        return sorted(
            tp.partition for tp in self.faust.consumer.assignment() if tp.topic == topic.name
        )

    def next_offset(self, batch: Batch) -> int:
        """Return the offset behind what was done of a batch's partition before it."""
        return int(self.faust.consumer.done[TP(batch.topic, batch.partition)])

    # -- its life

    @property
    def not_ready(self) -> str | None:
        """Why the worker is not ready, as a sentence; None when it is."""
        if self.brake.stopped:
            return next(iter(self.brake.stopped.values()))
        if not self.faust.tables.recovery.completed.is_set() or self.faust.rebalancing:
            return f"{self.app_id} is taking over its partitions"
        return next(filter(None, (check() for check in self.checks)), None)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; raises what ended the worker when it was something else."""
        await self.producer.start()
        self.faust.finalize()
        # The guard beats from the start: joining a group can take as long as a session.
        self.guard.begin()
        jobs = (self._beat, self._watch, *self._background)
        tasks = [asyncio.ensure_future(job()) for job in jobs]
        waiting: list[asyncio.Future[Any]] = []
        try:
            await self.faust.start()
            waiting = [asyncio.ensure_future(self.faust.wait_until_stopped())]
            waiting.append(asyncio.ensure_future(stop.wait()))
            await asyncio.wait((*tasks, *waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stopping = True
            for task in (*tasks, *waiting):
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await self.faust.stop()
            await self.producer.stop()
        self._raise_cause(results)

    def _raise_cause(self, results: Sequence[BaseException | None]) -> None:
        cause = self.faust.crash_reason or next(
            (result for result in results if isinstance(result, Exception)), None
        )
        if cause is not None:
            raise cause

    async def _beat(self) -> None:
        try:
            await self.guard.beat_for_ever()
        except FrozenError as error:
            end_frozen(error)

    async def _watch(self) -> None:
        consumer = self.faust.consumer
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            ends: dict[TP, int] = {}
            # Waiting for what is known to be away is no standing still.
            if self.not_ready is None:
                with contextlib.suppress(KafkaError, TimeoutError):
                    async with asyncio.timeout(_WATCH_SECONDS):
                        ends = await consumer.highwaters(*consumer.done)
            self._watchdog.look(consumer.done, ends)

    # -- one batch

    async def handle(self, agent: Agent, event: Any) -> None:
        """Process one fetch of an agent, and ack it when all its effects are written."""
        message = event.message
        consumer = self.faust.consumer
        if self._gave_up:
            consumer.release(message)
            return
        batch = Batch(agent.name, message.topic, message.partition, event.value)
        try:
            await self._make_effective(agent, batch, message)
            self.brake.passed(batch)
            self.room.note(batch)
            event.ack()
        except PartitionStoppedError as stopped:
            log.critical(stopped)
            consumer.pause_partitions({message.tp})
            consumer.release(message)
        except StoppingError as reason:
            # Were the next batch written, its states would take this one for applied.
            self._gave_up = True
            log.warning("%s: ended in the middle of a batch: %s", agent.name, reason)
            consumer.release(message)
        except FrozenError as error:
            end_frozen(error)

    async def _make_effective(self, agent: Agent, batch: Batch, message: Any) -> None:
        """Process a batch and make its effects durable: outputs, then state."""
        await agent.ready_for(batch.partition, message.generation_id)
        try:
            outcome = agent.process(batch)
            if inspect.isawaitable(outcome):
                await outcome
            await self.send_refused(batch)
        except PartitionStoppedError:
            agent.discard(batch.partition)
            raise
        self.check_owned(batch)
        await asyncio.gather(
            *(self.producer.send(*place, records) for place, records in batch.outputs.items())
        )
        for table in agent.tables:
            self.check_owned(batch)
            await table.write_staged(batch.partition, batch.last_offset, self.producer)

    async def send_refused(self, batch: Batch) -> None:
        """Send the batch's dead letters so far; sinks call it before they move their offset.

        `PartitionStoppedError` when there are too many in a row.
        """
        self.brake.check(batch)
        refused, batch.refused = batch.refused, []
        if not refused:
            return
        self.check_owned(batch)
        topic = dead_letters_of(batch.topic)
        await self.producer.send(topic, batch.partition, refused)
        self.dead_letters += len(refused)
        log.warning(
            "%s: %d records went to %s; see `headrace dlq list`", batch.stage, len(refused), topic
        )

    def check_owned(self, batch: Batch) -> None:
        """Call before a batch's effects; `FrozenError` when they may be another worker's."""
        self.guard.check()
        if TP(batch.topic, batch.partition) not in self.faust.consumer.assignment():
            raise FrozenError(f"{batch.topic}/{batch.partition} went to another in mid-batch")
