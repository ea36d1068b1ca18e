"""Records on their way to Kafka: one lane a partition, driven by its acks (design D1).

What comes in while a partition's micro-batch is on its way is the next one; there is no
linger. All events of a micro-batch share one future and one deadline. Many concurrent `send()`
calls would wake each other instead, which costs ten times the CPU.
"""

import asyncio
import logging
import time
from collections import deque
from functools import lru_cache
from typing import Any, Protocol

from aiokafka import partitioner

from producer_api.rejected import Rejected
from schemas.headers import Headers
from schemas.reject_reasons import RejectReason

try:
    from producer_api.event_compiled import murmur2
except ImportError:
    # It costs more than all else here, and a session sends many events.
    murmur2 = lru_cache(maxsize=65_536)(partitioner.murmur2)

_log = logging.getLogger(__name__)

#: The part of its deadline that a waiting batch takes records for, as a divisor: while Kafka is
#: away, each part has a batch of its own, and only the oldest fail when it comes back.
_TAKING = 8
#: Between two attempts; each one takes as long as the transport has patience.
_RETRY_SECONDS = 0.1


class RetriableError(Exception):
    """Kafka did not take a batch now: the leader moves, copies are missing, a broker is away.

    The same batch may be sent again; it may land twice.
    """


class BatchBuilder(Protocol):
    """The part of aiokafka's BatchBuilder that is used here."""

    def append(self, *, key: bytes, value: bytes, timestamp: None, headers: Headers) -> Any | None:
        """Add a record and return where it stands, with its `size`; None when it is full."""


class Transport(Protocol):
    """What carries batches to Kafka: `kafka.Link`, or the fake of the tests."""

    @property
    def failure(self) -> RejectReason:
        """Why a batch that is not confirmed now is not."""

    def create_batch(self) -> BatchBuilder:
        """Return an empty batch."""

    async def ready(self) -> None:
        """Return as soon as batches can be sent."""

    async def send_batch(self, batch: BatchBuilder, topic: str, partition: int) -> None:
        """Return when all in-sync replicas have the batch; raise when they do not.

        `RetriableError` when that may pass.
        """


class MicroBatch:
    """Records of one partition that leave together, confirmed or failed by a deadline."""

    def __init__(self, builder: BatchBuilder, deadline_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self.builder = builder
        self.bytes = 0
        # Whoever comes later would be failed by a deadline that began long before it came.
        self._takes_until = time.monotonic() + deadline_seconds / _TAKING
        self.confirmed: asyncio.Future[bool] = loop.create_future()
        self._deadline = loop.call_later(deadline_seconds, self.settle, False)

    def append(self, key: bytes, value: bytes, headers: Headers) -> int | None:
        """Add a record and return its bytes; None when the batch is full, or old."""
        if time.monotonic() > self._takes_until:
            return None
        place = self.builder.append(key=key, value=value, timestamp=None, headers=headers)
        if place is None:
            return None
        self.bytes += place.size
        return int(place.size)

    def settle(self, confirmed: bool) -> None:
        """Answer all who wait, unless the deadline has."""
        self._deadline.cancel()
        if not self.confirmed.done():
            self.confirmed.set_result(confirmed)


class Accumulator:
    """All lanes, and the bytes that wait in them.

    What cannot be sent is dropped after its deadline: whoever waited was told that nothing is
    promised.
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
        self._deadline_seconds = deadline_seconds
        self._max_waiting_bytes = max_waiting_bytes
        self._lanes: list[_Lane] = []

    def open(self, partitions: int) -> None:
        """Take records for this many partitions from now on."""
        self._lanes = [_Lane(self, partition) for partition in range(partitions)]

    @property
    def is_open(self) -> bool:
        """Whether the number of partitions is known, so that records can be taken."""
        return bool(self._lanes)

    def check_room(self, size: int) -> None:
        """Refuse with OVERLOADED, at once, what would make too many bytes wait."""
        if self.waiting_bytes + size > self._max_waiting_bytes:
            raise Rejected(RejectReason.OVERLOADED)

    def add(self, key: bytes, value: bytes, headers: Headers) -> asyncio.Future[bool]:
        """Take a record; return a future that holds whether Kafka has it, within the deadline.

        The future belongs to all records of a micro-batch: wait for it by `asyncio.wait`, so that
        a request that is cancelled does not cancel it for the others.
        """
        # As Java's default partitioner does.
        partition = (murmur2(key) & 0x7FFFFFFF) % len(self._lanes)
        return self._lanes[partition].add(key, value, headers)

    def new_batch(self) -> MicroBatch:
        """Return an empty micro-batch, whose deadline begins now."""
        return MicroBatch(self.transport.create_batch(), self._deadline_seconds)

    async def drain(self) -> None:
        """Wait until nothing is on its way; no longer than the deadline."""
        running = [lane.task for lane in self._lanes if lane.task is not None]
        if running:
            await asyncio.wait(running, timeout=self._deadline_seconds)


class _Lane:
    """The micro-batches of one partition: at most one on its way, the others in order behind."""

    def __init__(self, owner: Accumulator, partition: int) -> None:
        self.task: asyncio.Task[None] | None = None
        self._owner = owner
        self._partition = partition
        self._waiting: deque[MicroBatch] = deque()

    def add(self, key: bytes, value: bytes, headers: Headers) -> asyncio.Future[bool]:
        size = self._waiting[-1].append(key, value, headers) if self._waiting else None
        if size is None:
            self._waiting.append(self._owner.new_batch())
            size = self._waiting[-1].append(key, value, headers)
            if size is None:
                raise ValueError("an empty batch does not take the record")
        self._owner.waiting_bytes += size
        if self.task is None:
            self.task = asyncio.get_running_loop().create_task(self._send_all())
        return self._waiting[-1].confirmed

    async def _send_all(self) -> None:
        while self._waiting:
            await self._owner.transport.ready()
            batch = self._waiting.popleft()
            if not batch.confirmed.done():
                await self._send(batch)
            self._owner.waiting_bytes -= batch.bytes
        self.task = None

    async def _send(self, batch: MicroBatch) -> None:
        """Send a batch, again and again while that can help and its deadline has not come."""
        transport, topic = self._owner.transport, self._owner.topic
        told = False
        while not batch.confirmed.done():
            try:
                await transport.send_batch(batch.builder, topic, self._partition)
                batch.settle(True)
            except RetriableError as error:
                if not told:
                    _log.warning("%s-%d is not written now: %s", topic, self._partition, error)
                    told = True
                await asyncio.sleep(_RETRY_SECONDS)
                await transport.ready()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is not confirmed
                _log.debug("%s-%d: %r", topic, self._partition, error)
                batch.settle(False)
