"""Sending whole batches, each confirmed by all in-sync replicas before the next leaves.

Not Faust's producer: its `send` costs a future and several awaits a record, its `flush`
never raises, and its request timeout is 20 minutes.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import stamina
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

log = logging.getLogger(__name__)

#: The default of 16 KiB makes a forwarder ten times slower (design D3).
_BATCH_BYTES = 960 * 1024
_REQUEST_TIMEOUT_MS = 5_000


class OutRecord(NamedTuple):
    """A record to send: key, value (None: a tombstone) and headers."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class StoppingError(Exception):
    """The worker is ending, and what was to be done was not: it is read again later."""


class BatchProducer:
    """Sends batches and waits for their acks; retries for as long as the worker runs.

    Not idempotent: a broker outage hangs the futures of an idempotent aiokafka producer. A
    batch that is sent again may therefore land twice; whoever reads it must know repeats by
    what they carry (design D6).
    """

    def __init__(self, bootstrap_servers: str, is_stopping: Callable[[], bool]) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._is_stopping = is_stopping
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect; `KafkaConnectionError` when no broker is reached."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers,
            acks="all",
            enable_idempotence=False,
            compression_type="snappy",  # by aiokafka, lz4 is at level 9: seven times its CPU
            max_batch_size=_BATCH_BYTES,
            max_request_size=4 * _BATCH_BYTES,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect; what is not confirmed by now is not waited for."""
        if self._producer is not None:
            await self._producer.stop()

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> None:
        """Return when all in-sync replicas have the records, in their order.

        `StoppingError` when the worker ends before that. A single record over the topic's
        limit raises `MessageSizeTooLargeError`: no retry mends it.
        """
        sent = 0
        while sent < len(records):
            sent += await self._send_some(topic, partition, records, sent)

    async def _send_some(
        self, topic: str, partition: int, records: Sequence[OutRecord], start: int
    ) -> int:
        """Send what one batch holds of the records from `start`; returns how many that were."""
        async for attempt in stamina.retry_context(
            on=self._is_passing, attempts=None, timeout=None, wait_initial=0.1, wait_max=5.0
        ):
            with attempt:
                if attempt.num > 1 and self._is_stopping():
                    raise StoppingError(f"{len(records) - start} records for {topic} were not sent")
                return await self._send_batch(topic, partition, records, start)
        raise AssertionError("retried for ever, and yet it ended")

    async def _send_batch(
        self, topic: str, partition: int, records: Sequence[OutRecord], start: int
    ) -> int:
        producer: Any = self._producer
        builder = producer.create_batch()
        append = builder.append
        for key, value, headers in itertools.islice(records, start, None):
            # None: the batch is full, and did not take this one.
            if append(timestamp=None, key=key, value=value, headers=list(headers)) is None:
                break
        builder.close()
        await (await producer.send_batch(builder, topic, partition=partition))
        return int(builder.record_count())

    def _is_passing(self, error: Exception) -> bool:
        """Tell whether sending again can help: the broker is away, moves or is slow."""
        if isinstance(error, (MessageSizeTooLargeError, RecordListTooLargeError)):
            return False
        if isinstance(error, (KafkaError, OSError, asyncio.TimeoutError)):
            log.warning("Kafka did not take a batch (%r); sending it again", error)
            return True
        return False
