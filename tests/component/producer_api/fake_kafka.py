"""A Kafka in memory that satisfies `transport_suite`, with injected failures."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from producer_api.produce.accumulator import BatchBuilder, RetriableError
from schemas.headers import Headers
from schemas.reject_reasons import RejectReason

_OVERHEAD_BYTES = 24


class Stored(NamedTuple):
    """A record in a partition."""

    partition: int
    key: bytes
    value: bytes
    headers: Headers


class _Metadata(NamedTuple):
    size: int


class FakeBatch:
    """A batch with a maximum size; its first record always fits."""

    def __init__(self, max_bytes: int) -> None:
        self.records: list[tuple[bytes, bytes, Headers]] = []
        self._free_bytes = max_bytes

    def append(
        self, *, key: bytes, value: bytes | None, timestamp: None, headers: Headers
    ) -> _Metadata | None:
        """Add a record, a tombstone as an empty one; return None if the batch is full."""
        value = value or b""
        assert timestamp is None, "the broker sets the timestamp"
        size = len(key) + len(value) + _OVERHEAD_BYTES
        if self.records and size > self._free_bytes:
            return None
        self._free_bytes -= size
        self.records.append((key, value, headers))
        return _Metadata(size)


class FakeKafka:
    """A fake of `kafka.ReconnectingProducer`; with `partitions=0` it never connects."""

    def __init__(self, partitions: int = 4, max_batch_bytes: int = 512 * 1024) -> None:
        self.problem: str | None = None if partitions else "Kafka is not reached"
        self.is_connecting = False
        self.stored: list[Stored] = []
        self.batches = 0
        self.fails = False
        self.failure = RejectReason.NOT_ACCEPTED
        self.has_leader = True
        self.responds = asyncio.Event()
        self.responds.set()
        self._partitions = partitions
        self._max_batch_bytes = max_batch_bytes

    def start(self, on_open: Callable[[int], None]) -> None:
        """Call `on_open` at once."""
        if self._partitions:
            on_open(self._partitions)

    async def stop(self) -> None:
        """Do nothing."""

    def create_batch(self) -> BatchBuilder:
        """Return an empty batch."""
        return FakeBatch(self._max_batch_bytes)

    async def ready(self) -> None:
        """Return at once."""

    async def send_batch(self, batch: BatchBuilder, topic: str, partition: int) -> None:
        """Wait for `responds` and store the batch; raise without `has_leader`, or if `fails`."""
        assert isinstance(batch, FakeBatch)
        assert topic, "a batch needs a topic"
        self.batches += 1
        await self.responds.wait()
        if not self.has_leader:
            raise RetriableError("no leader")
        if self.fails or partition >= self._partitions:
            raise ConnectionError("not stored")
        self.stored += [Stored(partition, *record) for record in batch.records]
