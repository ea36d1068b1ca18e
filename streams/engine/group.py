"""A member of a consumer group that processes whole fetches.

A rebalance waits for the batches in progress and commits them before partitions are revoked. Tables
of assigned partitions are restored before they are read from their committed offsets.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import ConsumerStoppedError, InconsistentGroupProtocolError, KafkaError

from kafka_clients.clients import make_consumer
from schemas.kafka_settings import KafkaSettings
from schemas.topics import RECORD_BATCH_BYTES
from streams.engine.end_offsets import new_client_reader
from streams.engine.fetches import IDLE_MS, Fetches
from streams.engine.group_offsets import GroupOffsets
from streams.engine.lag import LagMeter
from streams.engine.topic_readers import Process, TopicReaders

log = logging.getLogger(__name__)

SESSION_TIMEOUT_SECONDS = 10.0
#: How long a rebalance or a stop waits for batches in progress. The group's rebalance timeout is
#: 30 s; a batch that takes longer is fenced.
_DRAIN_SECONDS = 15.0
_DRAIN_POLL_SECONDS = 0.05
_RETRY_SECONDS = 1.0
#: `fetch.max.wait.ms`. aiokafka has one fetch in flight per broker. Partitions whose agent was busy
#: for 0.1 s are not in it, and wait until it returns: with other records, or after this time.
_FETCH_WAIT_MS = 1_000
#: A broker that has just started may not know all topics yet, and the group assigns only those
#: that it knows until the metadata is refreshed, by default after five minutes.
_METADATA_MAX_AGE_MS = 15_000
#: A day: a batch may wait for a database for hours. The watchdog detects a stuck worker.
_MAX_POLL_INTERVAL_MS = 86_400_000

#: Prepares assigned partitions before their first batch, and returns the start offsets of those
#: that do not start at the group's offsets.
TakeOver = Callable[[Collection[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]]


class GroupMember(ConsumerRebalanceListener):  # type: ignore[misc]
    """One consumer, whose partitions `TopicReaders` read between rebalances."""

    def __init__(
        self,
        kafka: KafkaSettings,
        group_id: str,
        topics: Collection[str],
        process: Process,
        take_over: TakeOver,
    ) -> None:
        self._kafka = kafka
        self._group_id = group_id
        self._topics = topics
        self._prepare = take_over
        #: The assigned partitions.
        self.owned: frozenset[TopicPartition] = frozenset()
        self._offsets = GroupOffsets(kafka, group_id)
        self._read_ends = new_client_reader(kafka)
        self.lag = LagMeter()
        #: The number of assignments so far.
        self.generation = 0
        self._tasks = asyncio.TaskGroup()
        self._taking_over: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._consumer: Any = None
        self._fetches = Fetches()
        self._readers = TopicReaders(process, self._fetches, self._offsets, self.lag)
        #: Why the worker cannot join its group, as a sentence.
        self.problem: str | None = None

    @property
    def is_rebalancing(self) -> bool:
        """Whether partitions are being revoked or assigned, so that nothing is read."""
        return not self._readers.is_open.is_set()

    @property
    def done(self) -> Mapping[TopicPartition, int]:
        """For each owned partition, the offset after the last batch that took effect."""
        return self._offsets.done

    # -- lifecycle

    async def run(self) -> None:
        """Consume until cancelled. Raises fatal errors; call `stop` in any case."""
        self._consumer = make_consumer(
            self._kafka,
            group_id=self._group_id,
            auto_offset_reset="earliest",
            session_timeout_ms=int(SESSION_TIMEOUT_SECONDS * 1_000),
            heartbeat_interval_ms=3_000,
            rebalance_timeout_ms=30_000,
            max_poll_interval_ms=_MAX_POLL_INTERVAL_MS,
            metadata_max_age_ms=_METADATA_MAX_AGE_MS,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            consumer_timeout_ms=IDLE_MS,  # the default wakes it up five times a second
            # Some 1,000 events. With half of it, sessions are written 1.4 times as often under load
            # (docs/adr/0088). `max.poll.records` limits memory.
            max_partition_fetch_bytes=RECORD_BATCH_BYTES,
            # The same partitions of all topics go to one worker.
            partition_assignment_strategy=(RangePartitionAssignor,),
        )
        self._offsets.consumer = self._fetches.consumer = self._consumer
        await self._consumer.start()
        self._consumer.subscribe(list(self._topics), listener=self)
        try:
            async with self._tasks:
                for topic in self._topics:
                    self._tasks.create_task(self._readers.read(topic))
                self._tasks.create_task(self._offsets.commit_regularly(self._readers.is_open))
                self._tasks.create_task(self._raise_group_errors())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def stop(self) -> None:
        """Finish the batches in progress, commit, and leave the group."""
        self._is_stopping = True
        if self._consumer is not None:
            await self._close()
            self._readers.cancel()
            await self._consumer.stop()

    async def drain(self, topics: Collection[str], seconds: float) -> bool:
        """Read only `topics`, to their end offsets; return False if `seconds` do not suffice."""
        last = [tp for tp in self.owned if tp.topic in topics]
        self._fetches.stop(self.owned.difference(last))
        try:
            async with asyncio.timeout(seconds):
                while not await self._has_drained(last):  # noqa: ASYNC110 - Kafka has no notification
                    await asyncio.sleep(_DRAIN_POLL_SECONDS)
        except (KafkaError, TimeoutError):
            return False
        return True

    async def _has_drained(self, last: Sequence[TopicPartition]) -> bool:
        # `done` is read first: the outputs of these batches are below the end offsets.
        done = self.done
        is_idle = all([await self._consumer.position(tp) == done.get(tp) for tp in self.owned])
        ends = await self._read_ends(last)
        return is_idle and all(done.get(tp, -1) >= ends[tp] for tp in last)

    async def _raise_group_errors(self) -> None:
        """Raise fatal errors of the group: aiokafka reports them only to callers of `getmany`."""
        none = TopicPartition("", 0)
        while True:
            try:
                await self._consumer.getmany(none, timeout_ms=IDLE_MS)
            except InconsistentGroupProtocolError:
                self.problem = (
                    f"workers of an earlier version are in the group {self._group_id}, with "
                    "another partition assignor: stop them all"
                )
                log.warning(self.problem)
                await asyncio.sleep(_RETRY_SECONDS)
            except ConsumerStoppedError:
                return
            except KafkaError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)

    # -- called by the worker

    def pause(self, tp: TopicPartition) -> None:
        """Stop reading a partition until it is assigned again."""
        self._fetches.stop([tp])

    async def end_offsets(
        self, partitions: Collection[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        """Return the end offsets of partitions; waits while they have no leader."""
        ends: Mapping[TopicPartition, int] = await self._consumer.end_offsets(partitions)
        return ends

    # -- rebalances

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002
        """Finish and commit the batches in progress; heartbeats continue."""
        await self._close()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Start to restore and read the partitions."""
        if self._is_stopping:
            return
        self.problem = None
        self.owned = frozenset(assigned)
        # Offset requests would wait for a fetch in flight: a broker answers in order.
        self._fetches.assign(assigned)
        for tp in assigned:
            self._consumer.seek(tp, 0)  # else the consumer requests offsets, too
        self._offsets.begin({})  # batches of the previous assignment are ignored
        self.lag.assign()
        self._taking_over = self._tasks.create_task(self._take_over())

    async def _close(self) -> None:
        """Stop reading, wait for the batches in progress up to a limit, and commit."""
        self._readers.close()
        self._fetches.close()
        if self._taking_over is not None:
            self._taking_over.cancel()
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                await self._readers.wait_until_idle()
        except TimeoutError:
            log.warning("batches in progress took too long; they will be read again")
        await self._offsets.commit_last()

    async def _take_over(self) -> None:
        await self._readers.wait_until_idle()  # a batch in progress since the last assignment
        while True:
            try:
                starts = await self._prepare(self.owned)
                positions = await self._offsets.seek(self.owned, starts)
                break
            except (KafkaError, OSError) as error:
                log.warning("cannot take over the partitions (%r); retrying", error)
            await asyncio.sleep(_RETRY_SECONDS)
        task = asyncio.current_task()
        if task is None or task.cancelling():  # aiokafka swallows some cancellations
            return
        self._fetches.open()
        self._offsets.begin(positions)
        self.generation += 1
        self._readers.open(self.owned)
