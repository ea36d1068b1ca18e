"""A Kafka in memory that keeps the contract of `transport_suite`, and fails when told to."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from producer_api.accumulator import BatchBuilder, RetriableError
from schemas.headers import Headers
from schemas.reject_reasons import RejectReason

_OVERHEAD_BYTES = 24


class Stored(NamedTuple):
    """A record as it lies in a partition."""

    partition: int
    key: bytes
    value: bytes
    headers: Headers


class _Place(NamedTuple):
    size: int


class FakeBatch:
    """A batch of bounded size; its first record always fits."""

    def __init__(self, max_bytes: int) -> None:
        self.records: list[tuple[bytes, bytes, Headers]] = []
        self.room = max_bytes

    def append(
        self, *, key: bytes, value: bytes, timestamp: None, headers: Headers
    ) -> _Place | None:
        """Add a record; None when it is too much."""
        assert timestamp is None, "the server's clock alone tells a record's time"
        size = len(key) + len(value) + _OVERHEAD_BYTES
        if self.records and size > self.room:
            return None
        self.room -= size
        self.records.append((key, value, headers))
        return _Place(size)


class FakeKafka:
    """A fake of `kafka.ReconnectingProducer`; with `partitions=0` it never connects."""

    def __init__(self, partitions: int = 4, max_batch_bytes: int = 512 * 1024) -> None:
        self.problem: str | None = None if partitions else "Kafka is not reached"
        self.stored: list[Stored] = []
        self.batches = 0
        self.fails = False
        self.failure = RejectReason.NOT_ACCEPTED
        self.has_leader = True
        self.lets_pass = asyncio.Event()
        self.lets_pass.set()
        self._partitions = partitions
        self._max_batch_bytes = max_batch_bytes

    def start(self, opened: Callable[[int], None]) -> None:
        """Tell the partitions at once."""
        if self._partitions:
            opened(self._partitions)

    async def stop(self) -> None:
        """There is nothing to close."""

    def create_batch(self) -> BatchBuilder:
        """Return an empty batch."""
        return FakeBatch(self._max_batch_bytes)

    async def ready(self) -> None:
        """Return at once."""

    async def send_batch(self, batch: BatchBuilder, topic: str, partition: int) -> None:
        """Store the batch, when `lets_pass` is set; raise when `fails` is, or no leader there."""
        assert isinstance(batch, FakeBatch)
        assert topic, "a batch goes to a topic"
        self.batches += 1
        await self.lets_pass.wait()
        if not self.has_leader:
            raise RetriableError("no leader")
        if self.fails or partition >= self._partitions:
            raise ConnectionError("not stored")
        self.stored += [Stored(partition, *record) for record in batch.records]
