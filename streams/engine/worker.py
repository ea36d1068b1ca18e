"""A worker: a Faust app whose agents process whole fetches."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Any

from aiokafka import TopicPartition
from mode import CrashingSupervisor

from schemas.kafka_settings import KafkaSettings
from schemas.topics import Topic
from streams.engine.agent import Agent
from streams.engine.batch import Batch
from streams.engine.capacity import Capacity
from streams.engine.circuit_breaker import MAX_CONSECUTIVE_DEAD_LETTERS, CircuitBreaker
from streams.engine.end_offsets import first_response, new_client_reader
from streams.engine.faust_app import create_app
from streams.engine.fencing import Fence, FencedError, exit_fenced
from streams.engine.group import SESSION_TIMEOUT_SECONDS, GroupMember
from streams.engine.leaders import LeaderCheck
from streams.engine.metrics import WorkerMetrics
from streams.engine.processor import BatchProcessor
from streams.engine.producer import BatchProducer
from streams.engine.registry import AgentRegistry
from streams.engine.restoration import Restoration
from streams.engine.topic_readers import CONCURRENT_BATCHES
from streams.engine.watchdog import Watchdog

log = logging.getLogger(__name__)

#: Returns the start offsets of assigned partitions.
Positions = Callable[[Collection[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]]
#: A background task of a worker.
Job = Callable[[], Awaitable[None]]

_WATCH_SECONDS = 10.0
#: Part of the 20 s in which a role stops; batches in progress may take 15 s.
_DRAIN_SECONDS = 4.0
#: The maximum number of batches queued for an agent.
_CHANNEL_SIZE = 8


class Worker(AgentRegistry):
    """A Faust app, its agents, tables and producer, from start to stop.

    `app_id` is the consumer group and never changes. `positions` replaces the group's offsets as
    start offsets; a worker with it has no tables. The names of the metrics contain `role`.
    """

    def __init__(  # noqa: PLR0913 - keyword arguments
        self,
        app_id: str,
        kafka: KafkaSettings,
        *,
        positions: Positions | None = None,
        max_refused_in_a_row: int = MAX_CONSECUTIVE_DEAD_LETTERS,
        capacity: Capacity | None = None,
        epoch: int = 0,
        role: str = "worker",
    ) -> None:
        super().__init__(capacity or Capacity(), epoch)
        self.app_id = app_id
        self._directory = TemporaryDirectory(prefix="headrace-")
        self.app = create_app(app_id, self._directory.name)
        self._agents: dict[str, Agent] = {}
        self._channels: dict[str, Any] = {}
        self._positions = positions
        self._kafka = kafka
        self._restoration = Restoration(kafka)
        self.group = GroupMember(kafka, app_id, self._agents.keys(), self.handle, self.take_over)
        self.producer = BatchProducer(kafka, lambda: self._stopping)
        self.fence = Fence(SESSION_TIMEOUT_SECONDS / 2)
        self.breaker = CircuitBreaker(max_refused_in_a_row)
        self._watchdog = Watchdog()
        self.leaders = LeaderCheck(kafka)
        #: Dead letters that operators discarded, if the role counts them.
        self.discarded = 0
        #: Records of the source topic that expired before they were read, as found at the start.
        self.expired = 0
        #: Additional readiness checks: each returns why the worker is not ready, or None.
        self.checks: list[Callable[[], str | None]] = []
        #: Topics between agents of this worker, which a graceful shutdown drains.
        self.drains: Collection[str] = ()
        self._background: list[Job] = []
        self._stopping = False
        self._is_draining = False
        self.processor = BatchProcessor(
            self.group, self.producer, self.fence, self.breaker, self.capacity
        )
        self.metrics = WorkerMetrics(
            role,
            group=self.group,
            counters=self.processor.counters,
            breaker=self.breaker,
            capacity=self.capacity,
            restoration=self._restoration,
        )

    # -- registration

    def add(self, agent: Agent) -> None:
        """Add an agent to the Faust app."""
        source = agent.source
        self._agents[source.name] = agent
        self.processor.counters.register(agent.name)
        channel = self._channels[source.name] = self.app.channel(maxsize=_CHANNEL_SIZE)

        async def consume(batches: Any) -> None:
            async for batch, result in batches:
                try:
                    done = await self.processor.process(agent, batch)
                    if not result.done():
                        result.set_result(done)
                except Exception as error:
                    if not result.done():
                        result.set_exception(error)
                    raise
                finally:
                    result.cancel()  # if the agent was cancelled

        self.app.agent(
            channel,
            name=agent.name,
            concurrency=CONCURRENT_BATCHES,
            supervisor_strategy=CrashingSupervisor,
        )(consume)

    def every(self, seconds: float, job: Job, *, due: Job | None = None) -> None:
        """Run `job` every `seconds` while the worker runs, each time after `due` has returned."""

        async def repeat() -> None:
            while True:
                await asyncio.sleep(seconds)
                if self._is_draining:
                    return  # sinks may have stopped already
                if due is not None:
                    await due()
                await job()

        self.background(repeat)

    def background(self, job: Job) -> None:
        """Run `job` while the worker runs; an error in it stops the worker."""
        self._background.append(job)

    def partitions_of(self, topic: Topic) -> list[int]:
        """Return the partitions of `topic` that this worker owns; none during a rebalance."""
        if self.group.is_rebalancing:
            return []
        return sorted(tp.partition for tp in self.group.owned if tp.topic == topic.name)

    def next_offset(self, batch: Batch) -> int:
        """Return the offset after the last processed batch of the same partition."""
        tp = TopicPartition(batch.topic, batch.partition)
        return self.group.done.get(tp, batch.records[0].offset)

    # -- lifecycle

    @property
    def not_ready(self) -> str | None:
        """Why the worker is not ready, as a sentence; None if it is ready."""
        return (
            self._why_waiting
            or self.leaders.problem
            or self._watchdog.problem
            or self.producer.broker_clock.problem()
        )

    @property
    def _why_waiting(self) -> str | None:
        if self.breaker.stopped:
            return next(iter(self.breaker.stopped.values()))
        if self.group.is_rebalancing:
            progress = self._restoration.progress
            taking_over = f"{self.app_id} is taking over its partitions"
            problem = self.group.problem or self.leaders.problem
            return problem or ": ".join(filter(None, (taking_over, progress)))
        return self.producer.problem or next(filter(None, (check() for check in self.checks)), None)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; raises the error if one stops the worker first."""
        await self.producer.start()
        self.app.finalize()
        await self.app.start()
        self.app.flow_control.resume()
        # Before the group is joined, which can take as long as the session timeout.
        self.fence.begin()
        jobs = (self.group.run, self._heartbeat, self._watch, *self._background)
        tasks = [asyncio.ensure_future(job()) for job in jobs]
        waiting = [
            asyncio.ensure_future(self.app.wait_until_stopped()),
            asyncio.ensure_future(stop.wait()),
        ]
        try:
            await asyncio.wait((*tasks, *waiting), return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                self._is_draining = True
                await self._drain()
        finally:
            self._stopping = True
            await self.group.stop()
            for task in (*tasks, *waiting):
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await self.app.stop()
            await self.producer.stop()
            self._directory.cleanup()
        self._raise_cause(results)

    async def _drain(self) -> None:
        """Process the topics between agents up to their end offsets, for at most a few seconds.

        Their records could expire while no worker runs.
        """
        if not self.drains or self._why_waiting is not None:
            return
        if not await self.group.drain(self.drains, _DRAIN_SECONDS):
            log.info("stopped before all routed records were processed; the next start continues")

    def _raise_cause(self, results: Sequence[BaseException | None]) -> None:
        cause = self.app.crash_reason or next(
            (result for result in results if isinstance(result, Exception)), None
        )
        if cause is not None:
            raise cause

    async def _heartbeat(self) -> None:
        try:
            await self.fence.monitor()
        except FencedError as error:
            exit_fenced(error)

    async def _watch(self) -> None:
        readers = (self.group.end_offsets, new_client_reader(self._kafka))
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            await self.check_leaders()
            done = dict(self.group.done)
            ends = await first_response(readers, done, _WATCH_SECONDS) if done else {}
            self.group.lag.update_ends(ends, self.group.done)
            # A worker that waits for a known problem is not stuck.
            self._watchdog.check(done, ends if self._why_waiting is None else {})

    async def check_leaders(self) -> None:
        """Report partitions without a leader, if the worker waits for any."""
        topics = {topic for topic, _ in self.producer.unacknowledged}
        if self.group.is_rebalancing:
            tables = [table for agent in self._agents.values() for table in agent.tables]
            topics.update(self._agents, (table.topic.name for table in tables))
        await self.leaders.check(topics)

    async def take_over(self, owned: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Restore the tables of assigned partitions; return the start offsets, if there are any."""
        for topic, agent in self._agents.items():
            partitions = [tp.partition for tp in owned if tp.topic == topic]
            for table in agent.tables:
                table.retain(partitions)
        await self._restoration.run(
            {(table, tp.partition) for tp in owned for table in self._agents[tp.topic].tables}
        )
        return {} if self._positions is None else await self._positions(owned)

    # -- batches

    async def handle(self, tp: TopicPartition, records: Sequence[Any]) -> bool:
        """Process one fetch; return True when its effects are durable."""
        batch = Batch(self._agents[tp.topic].name, tp.topic, tp.partition, records)
        result = asyncio.get_running_loop().create_future()
        await self._channels[tp.topic].put(value=(batch, result))
        return bool(await result)
