"""The connection to Kafka: made in the background, watched, and made anew when it is lost."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, ProducerClosed

from kafka_clients.access import explain_connection_failure
from kafka_clients.clients import CLIENT_ERRORS, make_producer
from kafka_clients.refusals import Cause, KafkaProblem, explain_error
from producer_api.accumulator import BatchBuilder, RetriableError
from schemas.counted import counted
from schemas.kafka_settings import KafkaSettings
from schemas.reject_reasons import RejectReason

_log = logging.getLogger(__name__)

MAX_BATCH_BYTES = 512 * 1024
_WATCH_SECONDS = 2.0
#: As long as something is wrong, for somebody may wait for it.
_TROUBLED_SECONDS = 1.0
#: Before a connection is tried anew: who starts everything at once waits for this.
_AGAIN_SECONDS = 0.3
#: After which the addresses that we know may be old: begin again with those of the settings.
_STALE_SECONDS = 30.0
#: Besides what says so of itself.
_ALSO_RETRIABLE = (KafkaTimeoutError, ProducerClosed)

#: That a refusal is reported for, after the last batch that was refused.
_REFUSED_SECONDS = 30.0
_REASONS = {
    Cause.LOGIN: RejectReason.KAFKA_LOGIN_FAILED,
    Cause.ACCESS: RejectReason.KAFKA_ACCESS_DENIED,
    Cause.SIZE: RejectReason.KAFKA_RECORD_TOO_LARGE,
}

Opened = Callable[[int], None]


class _Trouble(Exception):  # noqa: N818 - it is told as a state
    """Why events cannot be sent; the message is a sentence for the operator."""


class Link:
    """A producer that is there again after every outage; `trouble` says why it is not."""

    def __init__(self, kafka: KafkaSettings, topic: str, deadline_seconds: float) -> None:
        self._trouble: str | None = f"Kafka at {kafka.bootstrap_servers} is not reached yet"
        self._refusal: KafkaProblem | None = None
        self._refused_at = 0.0
        self._kafka = kafka
        self._servers = kafka.bootstrap_servers
        self._topic = topic
        # A batch lives for one timeout, and a request that was begun just before its end for
        # another one.
        self._timeout_seconds = max(0.5, (deadline_seconds - 1) / 2)
        self._opened: Opened | None = None
        self._partitions = 0
        self._producer: Any = None
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> str | None:
        """Why events cannot be sent, as a sentence; None while they can."""
        return self._trouble or (None if self._refusal is None else self._refusal.sentence)

    @property
    def failure(self) -> RejectReason:
        """Why an event that is not confirmed now is not."""
        if self._refusal is None:
            return RejectReason.NOT_ACCEPTED
        return _REASONS.get(self._refusal.cause, RejectReason.NOT_ACCEPTED)

    def start(self, opened: Opened) -> None:
        """Begin to connect; this never fails and never waits.

        `opened` is called with the number of the topic's partitions, once, when the cluster
        first tells it.
        """
        self._opened = opened
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def stop(self) -> None:
        """Close the connection."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def create_batch(self) -> BatchBuilder:
        """Return an empty batch, which any later producer can send too."""
        batch: BatchBuilder = self._producer.create_batch()
        return batch

    async def ready(self) -> None:
        """Return as soon as there is a producer."""
        await self._up.wait()

    async def send_batch(self, batch: BatchBuilder, topic: str, partition: int) -> None:
        """Return when all in-sync replicas have the batch; raise when they do not.

        aiokafka itself looks for the leader again, for one timeout; `RetriableError` then.
        """
        try:
            await (await self._producer.send_batch(batch, topic, partition=partition))
            self._refusal = None
        except KafkaError as error:
            if refusal := explain_error(error, self._servers, topic):
                self._refuse(refusal)
                raise
            if error.retriable or isinstance(error, _ALSO_RETRIABLE):
                raise RetriableError(type(error).__name__) from error
            raise

    async def _keep(self) -> None:
        while True:
            try:
                async with self._connected() as producer:
                    await self._watch(producer)
            except _Trouble as trouble:
                self._tell(str(trouble))
            except KafkaConnectionError:
                if refusal := await explain_connection_failure(self._kafka):
                    self._refuse(refusal)
                self._tell(refusal.sentence if refusal else self._unreached("no broker answers"))
            except CLIENT_ERRORS as error:
                self._tell(self._unreached(type(error).__name__))
            await asyncio.sleep(_AGAIN_SECONDS)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        producer = self._new_producer()
        try:
            await producer.start()
            # Of all topics: to ask for this one would create it, where brokers do that.
            cluster = await producer.client.fetch_all_metadata()
            self._check_partitions(cluster.partitions_for_topic(self._topic))
            await producer.partitions_for(self._topic)
            self._producer = producer
            self._up.set()
            yield producer
        finally:
            self._up.clear()
            with suppress(*CLIENT_ERRORS):
                async with asyncio.timeout(2 * self._timeout_seconds):
                    await producer.stop()

    def _new_producer(self) -> Any:
        # Copies that a retry can make are dropped downstream, by the event's id.
        return make_producer(
            self._kafka,
            client_id="headrace-api",
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=int(self._timeout_seconds * 1000),
        )

    async def _watch(self, producer: Any) -> None:
        """Keep `trouble` true; return or raise when the producer is of no more use."""
        clock = asyncio.get_running_loop().time
        seen = clock()
        # An unexpected error ends the sender for good, and only its task tells.
        while not producer._sender.sender_task.done():  # noqa: SLF001
            # It hangs if a write to a closed connection has ended the client's task (ADR 51).
            async with asyncio.timeout(_STALE_SECONDS):
                is_reached = await producer.client.force_metadata_update()
            if is_reached:
                seen = clock()
                self._check_partitions(producer.client.cluster.partitions_for_topic(self._topic))
                self._tell(None)
            else:
                self._tell(self._unreached("no broker answers"))
            if clock() - self._refused_at > _REFUSED_SECONDS:
                self._refusal = None  # none was sent since, or Kafka takes them again
            if clock() - seen > _STALE_SECONDS:
                return
            await asyncio.sleep(_WATCH_SECONDS if self._trouble is None else _TROUBLED_SECONDS)
        self._tell("The Kafka producer failed; it is being made anew")

    def _check_partitions(self, partitions: set[int] | None) -> None:
        if not partitions:
            raise _Trouble(
                f"Kafka at {self._servers} has no topic {self._topic}, or does not let this user "
                "see it; create it with: headrace topics create, or give the user the ACLs that "
                "docs/kafka.md names"
            )
        if not self._partitions:
            self._partitions = len(partitions)
            if self._opened is not None:
                self._opened(self._partitions)
        elif self._partitions != len(partitions):
            raise _Trouble(
                f"{self._topic} had {counted(self._partitions, 'partition')} and now has "
                f"{len(partitions)}, so sessions would be torn apart; restore the topic, or "
                "restart this role"
            )

    def _unreached(self, why: str) -> str:
        return (
            f"Kafka at {self._servers} is not reached ({why}); "
            "start it, or set HEADRACE_KAFKA__BOOTSTRAP_SERVERS"
        )

    def _refuse(self, refusal: KafkaProblem) -> None:
        """Remember what Kafka refuses, and log it when that is new."""
        if self._refusal is None or self._refusal.cause != refusal.cause:
            _log.error("%s. Events are answered with 500 until then", refusal.sentence)
        self._refusal = refusal
        self._refused_at = asyncio.get_running_loop().time()

    def _tell(self, trouble: str | None) -> None:
        """Remember the state, and log it when it has changed."""
        if trouble != self._trouble:
            if trouble is None:
                _log.info("Kafka at %s is reached: events are accepted", self._servers)
            else:
                _log.warning("%s. Events are answered with 500 until then", trouble)
        self._trouble = trouble
