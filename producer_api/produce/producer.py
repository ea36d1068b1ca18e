"""The producer, which connects in the background and reconnects after an outage."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, ProducerClosed

from kafka_clients.access import explain_connection_failure
from kafka_clients.clients import CLIENT_ERRORS, make_producer
from kafka_clients.problems import Cause, KafkaProblem, RegistryError, explain_error
from producer_api.produce.accumulator import BatchBuilder, RetriableError
from schemas.kafka_settings import KafkaSettings
from schemas.plurals import counted
from schemas.reject_reasons import RejectReason
from schemas.topics import RECORD_BATCH_BYTES

_log = logging.getLogger(__name__)

_POLL_SECONDS = 2.0
#: While Kafka cannot be reached.
_PROBLEM_POLL_SECONDS = 1.0
#: Short, because `headrace up` waits for it.
_RECONNECT_SECONDS = 0.3
#: After this, the broker addresses may be outdated: reconnect with those of the settings.
_STALE_SECONDS = 30.0
#: As well as errors whose `retriable` is true, and KafkaError itself: the producer failed, and is
#: being replaced.
_ALSO_RETRIABLE = (KafkaTimeoutError, ProducerClosed)

#: How long a rejection is reported after the last batch that was rejected.
_REFUSED_SECONDS = 30.0
_REASONS = {
    Cause.LOGIN: RejectReason.KAFKA_LOGIN_FAILED,
    Cause.ACCESS: RejectReason.KAFKA_ACCESS_DENIED,
    Cause.SIZE: RejectReason.KAFKA_RECORD_TOO_LARGE,
}

OnOpen = Callable[[int], None]


class _ProblemError(Exception):
    """The reason that events cannot be sent, as a sentence for the operator."""


class ReconnectingProducer:
    """A producer that reconnects after an outage; `problem` says why it cannot send."""

    def __init__(self, kafka: KafkaSettings, topic: str, deadline_seconds: float) -> None:
        self._problem: str | None = f"Kafka at {kafka.bootstrap_servers} is not reached yet"
        #: Whether the first attempt to connect is not over.
        self.is_connecting = True
        self._refusal: KafkaProblem | None = None
        self._refused_at = 0.0
        self._kafka = kafka
        self._servers = kafka.bootstrap_servers
        self._topic = topic
        # A batch expires after one timeout; a request sent just before takes up to another.
        self._timeout_seconds = max(0.5, (deadline_seconds - 1) / 2)
        self._on_open: OnOpen | None = None
        self._partitions = 0
        self._producer: Any = None
        self._is_connected = asyncio.Event()
        #: The batches that the producer has, until Kafka confirms or rejects them.
        self._unconfirmed: set[asyncio.Future[Any]] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def problem(self) -> str | None:
        """Why events cannot be sent, as a sentence; None while they can."""
        return self._problem or (None if self._refusal is None else self._refusal.sentence)

    @property
    def failure(self) -> RejectReason:
        """The reason to return for events that Kafka does not confirm."""
        if self._refusal is None:
            return RejectReason.NOT_ACCEPTED
        return _REASONS.get(self._refusal.cause, RejectReason.NOT_ACCEPTED)

    def start(self, on_open: OnOpen) -> None:
        """Start to connect in the background.

        `on_open` is called once, with the number of the topic's partitions.
        """
        self._on_open = on_open
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Close the connection."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def create_batch(self) -> BatchBuilder:
        """Return an empty batch, which can also be sent after a reconnection."""
        batch: BatchBuilder = self._producer.create_batch()
        return batch

    async def ready(self) -> None:
        """Wait until the producer is connected."""
        await self._is_connected.wait()

    async def send_batch(self, batch: BatchBuilder, topic: str, partition: int) -> None:
        """Return when all in-sync replicas have the batch.

        aiokafka retries for one timeout, then this raises `RetriableError`, as it does if the
        producer is replaced. Permanent errors are raised as they are.
        """
        try:
            confirmed = await self._producer.send_batch(batch, topic, partition=partition)
            self._unconfirmed.add(confirmed)
            try:
                await confirmed
            finally:
                self._unconfirmed.discard(confirmed)
            self._refusal = None
        except KafkaError as error:
            if refusal := explain_error(error, self._servers, topic):
                self._refuse(refusal)
                raise
            if error.retriable or isinstance(error, _ALSO_RETRIABLE) or type(error) is KafkaError:
                raise RetriableError(type(error).__name__) from error
            raise

    async def _run(self) -> None:
        while True:
            try:
                async with self._connected() as producer:
                    await self._watch(producer)
            except _ProblemError as problem:
                self._set_problem(str(problem))
            except KafkaConnectionError:
                if refusal := await explain_connection_failure(self._kafka):
                    self._refuse(refusal)
                self._set_problem(
                    refusal.sentence if refusal else self._unreachable("no broker answers")
                )
            except RegistryError as error:
                self._set_problem(str(error))
            except CLIENT_ERRORS as error:
                self._set_problem(self._unreachable(type(error).__name__))
            except Exception as error:  # noqa: BLE001 - without another attempt, all events get 500
                _log.exception("The Kafka producer failed unexpectedly; it is being recreated")
                self._set_problem(self._unreachable(type(error).__name__))
            await asyncio.sleep(_RECONNECT_SECONDS)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        producer = self._new_producer()
        try:
            await producer.start()
            # A metadata request for this topic would create it if the broker has auto-creation.
            cluster = await producer.client.fetch_all_metadata()
            partitions = self._check_partitions(cluster.partitions_for_topic(self._topic))
            await producer.partitions_for(self._topic)
            self._producer = producer
            self._open(partitions)
            self._is_connected.set()
            yield producer
        finally:
            self._is_connected.clear()
            with suppress(*CLIENT_ERRORS):
                async with asyncio.timeout(2 * self._timeout_seconds):
                    await producer.stop()
            # A producer that hangs never completes them, and their partitions would wait for ever.
            for confirmed in self._unconfirmed:
                if not confirmed.done():
                    confirmed.set_exception(ProducerClosed())

    def _new_producer(self) -> Any:
        # Not idempotent: the router drops duplicates by event id.
        return make_producer(
            self._kafka,
            client_id="headrace-api",
            max_batch_size=RECORD_BATCH_BYTES,
            request_timeout_ms=int(self._timeout_seconds * 1000),
        )

    async def _watch(self, producer: Any) -> None:
        """Update `problem`; return or raise when the producer must be replaced."""
        clock = asyncio.get_running_loop().time
        reached_at = clock()
        # An unexpected error ends aiokafka's sender task without any other notice.
        while not producer._sender.sender_task.done():  # noqa: SLF001
            # It hangs if a write to a closed connection has ended aiokafka's task (ADR 51).
            async with asyncio.timeout(_STALE_SECONDS):
                is_reached = await producer.client.force_metadata_update()
            if is_reached:
                reached_at = clock()
                self._check_partitions(producer.client.cluster.partitions_for_topic(self._topic))
                self._set_problem(None)
            else:
                self._set_problem(self._unreachable("no broker answers"))
            if clock() - self._refused_at > _REFUSED_SECONDS:
                self._refusal = None  # no batch was sent since, or Kafka accepts them again
            if clock() - reached_at > _STALE_SECONDS:
                return
            await asyncio.sleep(_POLL_SECONDS if self._problem is None else _PROBLEM_POLL_SECONDS)
        self._set_problem("The Kafka producer failed; it is being recreated")

    def _open(self, partitions: int) -> None:
        """Call `on_open` once the first producer is set, because requests then create batches."""
        if not self._partitions:
            self._partitions = partitions
            if self._on_open is not None:
                self._on_open(partitions)

    def _check_partitions(self, partitions: set[int] | None) -> int:
        """Return the number of partitions; raise if there are none, or if it has changed."""
        if not partitions:
            raise _ProblemError(
                f"Kafka at {self._servers} has no topic {self._topic}, or does not let this user "
                "see it; create it with: headrace topics create, or give the user the ACLs that "
                "docs/kafka.md names"
            )
        if self._partitions not in {0, len(partitions)}:
            raise _ProblemError(
                f"{self._topic} had {counted(self._partitions, 'partition')} and now has "
                f"{len(partitions)}, which would split sessions; restore the topic, or "
                "restart this role"
            )
        return len(partitions)

    def _unreachable(self, why: str) -> str:
        return (
            f"Kafka at {self._servers} is not reached ({why}); "
            "start it, or set HEADRACE_KAFKA__BOOTSTRAP_SERVERS"
        )

    def _refuse(self, refusal: KafkaProblem) -> None:
        """Set the refusal; log it if its cause is new."""
        if self._refusal is None or self._refusal.cause != refusal.cause:
            _log.error("%s. Until then, requests get 500", refusal.sentence)
        self._refusal = refusal
        self._refused_at = asyncio.get_running_loop().time()

    def _set_problem(self, problem: str | None) -> None:
        """Set the problem; log it if it has changed."""
        if problem != self._problem:
            if problem is None:
                _log.info("connected to Kafka at %s: events are accepted", self._servers)
            else:
                _log.warning("%s. Until then, requests get 500", problem)
        self._problem = problem
        self.is_connecting = False
