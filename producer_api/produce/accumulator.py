"""Batches records for Kafka: one queue per partition, driven by acks (design D1).

Records that arrive while a partition's micro-batch is in flight form the next one; at moderate
rates, they also linger for some milliseconds. All records of a micro-batch share one future and one
deadline. Concurrent `send()` calls would wake each other instead, which costs ten times the CPU.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

from aiokafka import partitioner

from producer_api.events.rejection import Rejected
from producer_api.produce.linger import Linger
from schemas.headers import Headers
from schemas.reject_reasons import RejectReason

try:
    from producer_api.events.event_compiled import murmur2
except ImportError:
    # The fallback is slow, and a session sends many events.
    murmur2 = lru_cache(maxsize=65_536)(partitioner.murmur2)

_log = logging.getLogger(__name__)

#: A batch accepts records for this fraction (1/n) of its deadline. During an outage each interval
#: has its own batch, so that only the oldest have expired when Kafka is back.
_APPEND_DIVISOR = 8
#: Between two attempts, each of which has the transport's own timeout.
_RETRY_SECONDS = 0.1


class RetriableError(Exception):
    """A transient failure to write a batch, such as a leader election or too few in-sync replicas.

    The same batch may be sent again, which can write it twice.
    """


class BatchBuilder(Protocol):
    """The methods of aiokafka's `BatchBuilder` that are used here."""

    def append(
        self, *, key: bytes, value: bytes | None, timestamp: None, headers: Headers
    ) -> Any | None:
        """Add a record and return its metadata, with `size` in bytes; None if the batch is full."""


class Transport(Protocol):
    """Sends batches to Kafka: `kafka.ReconnectingProducer`, or the fake of the tests."""

    @property
    def failure(self) -> RejectReason:
        """The reason to return for events that Kafka does not confirm."""

    def create_batch(self) -> BatchBuilder:
        """Return an empty batch."""

    async def ready(self) -> None:
        """Wait until batches can be sent."""

    async def send_batch(self, batch: BatchBuilder, topic: str, partition: int) -> None:
        """Return when all in-sync replicas have the batch.

        Raises `RetriableError` for a transient failure, another exception for a permanent one.
        """


class MicroBatch:
    """Records of one partition that are sent together and confirmed or failed by a deadline.

    `expire` is called at the deadline.
    """

    def __init__(
        self,
        builder: BatchBuilder,
        deadline_seconds: float,
        expire: Callable[["MicroBatch"], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.builder = builder
        self.bytes = 0
        # A record that is appended later would have too little of the deadline left.
        self._appends_until = time.monotonic() + deadline_seconds / _APPEND_DIVISOR
        self.confirmed: asyncio.Future[bool] = loop.create_future()
        self._deadline = loop.call_later(deadline_seconds, expire, self)

    def append(self, key: bytes, value: bytes, headers: Headers) -> int | None:
        """Add a record and return its size in bytes; None if the batch is full or too old."""
        # The first record is never too late: the process may have been paused since.
        if self.bytes and time.monotonic() > self._appends_until:
            return None
        metadata = self.builder.append(key=key, value=value, timestamp=None, headers=headers)
        if metadata is None:
            return None
        self.bytes += metadata.size
        return int(metadata.size)

    def complete(self, confirmed: bool) -> None:
        """Set the result of all records, unless the deadline has expired."""
        self._deadline.cancel()
        if not self.confirmed.done():
            self.confirmed.set_result(confirmed)


class Accumulator:
    """The queues of all partitions, with a limit on the bytes in them.

    Records that cannot be sent are dropped after their deadline and reported as failed.
    """

    def __init__(
        self,
        topic: str,
        transport: Transport,
        *,
        deadline_seconds: float,
        max_waiting_bytes: int,
    ) -> None:
        self.topic = topic
        self.transport = transport
        self.waiting_bytes = 0
        self.linger = Linger()
        self.deadline_seconds = deadline_seconds
        self._max_waiting_bytes = max_waiting_bytes
        self._queues: list[_PartitionQueue] = []

    def open(self, partitions: int) -> None:
        """Start to accept records, for this many partitions."""
        self._queues = [_PartitionQueue(self, partition) for partition in range(partitions)]

    @property
    def is_open(self) -> bool:
        """Whether the number of partitions is known, so that records are accepted."""
        return bool(self._queues)

    def check_capacity(self, size: int) -> None:
        """Raise `Rejected` (OVERLOADED) if `size` more bytes would exceed the limit."""
        if self.waiting_bytes + size > self._max_waiting_bytes:
            raise Rejected(RejectReason.OVERLOADED)

    def add(self, key: bytes, value: bytes, headers: Headers) -> asyncio.Future[bool]:
        """Queue a record. The future's result is whether Kafka confirmed it within the deadline.

        The future is shared by a micro-batch: wait for it with `asyncio.wait`, so that cancelling
        one request does not cancel it for the others.
        """
        # The same as Java's default partitioner.
        partition = (murmur2(key) & 0x7FFFFFFF) % len(self._queues)
        return self._queues[partition].add(key, value, headers)

    def new_batch(self, expire: Callable[[MicroBatch], None]) -> MicroBatch:
        """Return an empty micro-batch, whose deadline starts now."""
        return MicroBatch(self.transport.create_batch(), self.deadline_seconds, expire)

    async def drain(self) -> None:
        """Wait until all queues are empty, but no longer than the deadline."""
        running = [queue.task for queue in self._queues if queue.task is not None]
        if running:
            await asyncio.wait(running, timeout=self.deadline_seconds)


class _PartitionQueue:
    """The micro-batches of one partition: at most one in flight, the others in order."""

    def __init__(self, accumulator: Accumulator, partition: int) -> None:
        self.task: asyncio.Task[None] | None = None
        self._accumulator = accumulator
        self._partition = partition
        self._waiting: deque[MicroBatch] = deque()

    def add(self, key: bytes, value: bytes, headers: Headers) -> asyncio.Future[bool]:
        size = self._waiting[-1].append(key, value, headers) if self._waiting else None
        if size is None:
            self._waiting.append(self._accumulator.new_batch(self._expire))
            size = self._waiting[-1].append(key, value, headers)
            if size is None:
                raise ValueError("the record does not fit into an empty batch")
        self._accumulator.waiting_bytes += size
        self._accumulator.linger.add()
        if self.task is None:
            self.task = asyncio.get_running_loop().create_task(self._send_all())
        return self._waiting[-1].confirmed

    async def _send_all(self) -> None:
        while self._waiting:
            await self._accumulator.linger.wait()
            await self._accumulator.transport.ready()
            if self._waiting:  # they may have expired
                batch = self._waiting.popleft()
                await self._send(batch)
                self._accumulator.waiting_bytes -= batch.bytes
        self.task = None

    def _expire(self, batch: MicroBatch) -> None:
        """Fail a batch at its deadline, and drop it if it was not sent yet.

        During an outage it would take up capacity until Kafka is back.
        """
        batch.complete(False)
        if batch in self._waiting:
            self._waiting.remove(batch)
            self._accumulator.waiting_bytes -= batch.bytes

    async def _send(self, batch: MicroBatch) -> None:
        """Send a batch; retry transient failures until its deadline."""
        transport, topic = self._accumulator.transport, self._accumulator.topic
        is_logged = False
        while not batch.confirmed.done():
            try:
                await transport.send_batch(batch.builder, topic, self._partition)
                batch.complete(True)
            except RetriableError as error:
                if not is_logged:
                    _log.warning(
                        "cannot write to %s-%d (%s); retrying", topic, self._partition, error
                    )
                    is_logged = True
                await asyncio.sleep(_RETRY_SECONDS)
                await transport.ready()
            except Exception as error:  # noqa: BLE001 - any error fails the batch
                _log.debug("%s-%d: %r", topic, self._partition, error)
                batch.complete(False)
