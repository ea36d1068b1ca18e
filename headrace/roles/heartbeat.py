"""Heartbeats: each process reports its status to the topic `processes` (ADR 72)."""

import asyncio
import logging
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import NamedTuple

from msgspec import structs

from kafka_clients.clients import CLIENT_ERRORS, make_consumer
from schemas.kafka_settings import KafkaSettings
from schemas.records import ProcessStatus, RejectionCount
from schemas.topics import PROCESSES
from sinks.delivery.publisher import PublishConfiguration, Unavailable, open_publisher

log = logging.getLogger(__name__)

#: The interval of heartbeats. A change of the readiness is reported within `CHECK_SECONDS`.
HEARTBEAT_SECONDS = 10.0
CHECK_SECONDS = 1.0
#: How long a missing topic, or an unreachable Kafka, is not logged: `headrace up` starts the roles
#: before the broker is ready and the topics exist.
QUIET_SECONDS = 30.0
#: How long the end of a process waits until its last record is confirmed.
_STOP_SECONDS = 2.0


class Report(NamedTuple):
    """What a heartbeat reports: why the process is not ready (None if it is), and counters."""

    not_ready: str | None
    counters: Mapping[str, int] = {}
    rejections: Sequence[RejectionCount] = ()


#: Returns the current report of this process.
Read = Callable[[], Report]


@asynccontextmanager
async def heartbeats(kafka: KafkaSettings, role: str, read: Read) -> AsyncIterator[None]:
    """Send heartbeats while the context is open; afterwards, report that the process stopped.

    Errors are logged: the role itself reports that Kafka is unreachable.
    """
    process = ProcessStatus(
        process_id=uuid.uuid4().hex,
        role=role,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=version("headrace"),
        started_at=time.time_ns() // 1_000,
    )
    async with open_publisher(kafka, PROCESSES) as publish:
        heartbeat = _Heartbeat(kafka, publish, process, read)
        task = asyncio.create_task(heartbeat.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            if heartbeat.is_confirmed:
                with suppress(Unavailable, TimeoutError):
                    async with asyncio.timeout(_STOP_SECONDS):
                        await heartbeat.send(stopped=True)


async def send_heartbeats(kafka: KafkaSettings, role: str, read: Read) -> None:
    """Send heartbeats until cancelled; then report that the process stopped."""
    async with heartbeats(kafka, role, read):
        await asyncio.Event().wait()


class _Heartbeat:
    """Sends the status of a process. `is_confirmed` is whether Kafka confirmed the last one."""

    def __init__(
        self,
        kafka: KafkaSettings,
        publish: PublishConfiguration,
        process: ProcessStatus,
        read: Read,
    ) -> None:
        self._kafka = kafka
        self._publish = publish
        self._process = process
        self._read = read
        self._sent: Report | None = None
        self.is_confirmed = False

    async def send(self, *, stopped: bool = False) -> None:
        """Send the current status. Raises `Unavailable`."""
        report = self._sent = self._read()
        status = structs.replace(
            self._process,
            stopped=stopped,
            not_ready=report.not_ready,
            counters=dict(report.counters),
            rejections=list(report.rejections),
        )
        await self._publish(status.process_id, status)

    async def run(self) -> None:
        """Send the status regularly, and when the readiness changes."""
        await self._wait_for_topic()
        was_confirmed = True
        while True:
            try:
                await self.send()
                self.is_confirmed = True
            except Unavailable as error:
                self.is_confirmed = False
                if was_confirmed:
                    log.warning("`headrace status` cannot show this process: %s", error)
            was_confirmed = self.is_confirmed
            due = time.monotonic() + HEARTBEAT_SECONDS
            while time.monotonic() < due:
                await asyncio.sleep(CHECK_SECONDS)
                if self.is_confirmed and self._has_changed():
                    break

    async def _wait_for_topic(self) -> None:
        """Return when the topic exists; a producer could create it with wrong settings."""
        quiet_until, is_logged = time.monotonic() + QUIET_SECONDS, False
        while not await _topic_exists(self._kafka):
            if not is_logged and time.monotonic() > quiet_until:
                is_logged = True
                log.warning(
                    "`headrace status` cannot show this process: Kafka at %s is not reached, or "
                    "has no topic %s, which `headrace topics create` creates",
                    self._kafka.bootstrap_servers,
                    PROCESSES.name,
                )
            await asyncio.sleep(CHECK_SECONDS)

    def _has_changed(self) -> bool:
        return self._sent is None or self._read().not_ready != self._sent.not_ready


async def _topic_exists(kafka: KafkaSettings) -> bool:
    consumer = make_consumer(kafka)
    try:
        await consumer.start()
        return PROCESSES.name in await consumer.topics()
    except CLIENT_ERRORS:
        return False
    finally:
        await consumer.stop()
