"""Send batches, each acknowledged by all in-sync replicas before the next one is sent.

Not Faust's producer: its `send` costs a future and several awaits per record, its `flush`
never raises, and its request timeout is 20 minutes.
"""

import asyncio
import itertools
import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import stamina
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from kafka_clients.clients import make_producer
from kafka_clients.problems import explain_error
from schemas.kafka_settings import KafkaSettings
from schemas.plurals import counted
from schemas.topics import MAX_RECORD_BYTES, RECORD_BATCH_BYTES
from streams.engine.broker_clock import BrokerClock

log = logging.getLogger(__name__)

_REQUEST_TIMEOUT_MS = 5_000
#: The minimum interval between two warnings about failed attempts.
_WARN_SECONDS = 10.0
#: The timestamp type of LogAppendTime in Kafka's protocol.
_LOG_APPEND_TIME = 1


Headers = Sequence[tuple[str, bytes]]


class OutRecord(NamedTuple):
    """A record to send: key, value (None: a tombstone) and headers."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


#: Creates a record from a tuple of its fields, in half the time of `OutRecord`.
out_record: Callable[[tuple[bytes | None, bytes | None, Headers]], OutRecord]
out_record = partial(tuple.__new__, OutRecord)


class StoppingError(Exception):
    """The worker stops before a write was acknowledged; its input is read again later."""


class BatchProducer:
    """Sends batches and waits for their acknowledgement; retries as long as the worker runs.

    It is not an idempotent producer: those of aiokafka hang after a broker outage. A retry may
    therefore write a batch twice, and consumers must deduplicate (design D6).
    """

    def __init__(self, kafka: KafkaSettings, is_stopping: Callable[[], bool]) -> None:
        self._kafka = kafka
        self._is_stopping = is_stopping
        self._producer: Any = None
        self.broker_clock = BrokerClock()
        #: Why Kafka rejects writes, as a sentence; None after a successful write.
        self.problem: str | None = None
        #: Partitions with a retried batch that is not acknowledged yet.
        self.unacknowledged: set[tuple[str, int]] = set()
        self._warned_at = -math.inf

    async def start(self) -> None:
        """Connect; raises `KafkaConnectionError` if no broker is available."""
        self._producer = make_producer(
            self._kafka,
            max_batch_size=RECORD_BATCH_BYTES,
            max_request_size=2 * MAX_RECORD_BYTES,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect, without waiting for acknowledgements."""
        if self._producer is not None:
            await self._producer.stop()

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        """Write records in order to all in-sync replicas, and return the offset after the last one.

        Raises `StoppingError` if the worker stops first, and `MessageSizeTooLargeError` for a
        record over the topic's limit.
        """
        sent, end = 0, -1
        while sent < len(records):
            count, end = await self._send_some(topic, partition, records, sent)
            sent += count
        return end

    async def _send_some(
        self, topic: str, partition: int, records: Sequence[OutRecord], start: int
    ) -> tuple[int, int]:
        """Send one batch of records from `start` on; return its size and the offset after it."""
        try:  # without stamina, which takes longer than sending a small batch
            return await self._send_batch(topic, partition, records, start)
        except Exception as error:
            if not self._is_retriable(error):
                raise
        self.unacknowledged.add((topic, partition))
        return await self._send_again(topic, partition, records, start)

    async def _send_again(
        self, topic: str, partition: int, records: Sequence[OutRecord], start: int
    ) -> tuple[int, int]:
        """Send a failed batch until it is acknowledged, at once and then with increasing delays."""
        async for attempt in stamina.retry_context(
            on=self._is_retriable, attempts=None, timeout=None, wait_initial=0.1, wait_max=5.0
        ):
            with attempt:
                if self._is_stopping():
                    count = counted(len(records) - start, "record")
                    raise StoppingError(f"{count} for {topic} not sent")
                return await self._send_batch(topic, partition, records, start)
        raise AssertionError("an unlimited retry ended")

    async def _send_batch(
        self, topic: str, partition: int, records: Sequence[OutRecord], start: int
    ) -> tuple[int, int]:
        producer: Any = self._producer
        builder = producer.create_batch()
        append = builder.append
        for key, value, headers in itertools.islice(records, start, None):
            # None: the batch is full, without this record.
            if append(timestamp=None, key=key, value=value, headers=list(headers)) is None:
                break
        builder.close()
        sent_at = self.broker_clock.now()
        sent = await (await producer.send_batch(builder, topic, partition=partition))
        self.problem = None
        self.unacknowledged.discard((topic, partition))
        if sent.timestamp_type == _LOG_APPEND_TIME:
            self.broker_clock.record((topic, partition), sent.timestamp, sent_at)
        count = int(builder.record_count())
        return count, int(sent.offset) + count

    def _warn(self, error: Exception) -> None:
        """Log a failed attempt, rate-limited: during an outage, each batch fails repeatedly."""
        if time.monotonic() - self._warned_at >= _WARN_SECONDS:
            self._warned_at = time.monotonic()
            log.warning("Kafka did not acknowledge a batch (%r); retrying", error)

    def _is_retriable(self, error: Exception) -> bool:
        """Return True if a retry can succeed, such as after a timeout; log the error."""
        if isinstance(error, (MessageSizeTooLargeError, RecordListTooLargeError)):
            return False
        if problem := explain_error(error, self._kafka.bootstrap_servers):
            self.problem = problem.sentence
            log.error("%s. Retrying", self.problem)
            return True
        if isinstance(error, (KafkaError, OSError, asyncio.TimeoutError)):
            self._warn(error)
            return True
        return False
