"""Run a stream role as a process: event loop, signals, log and status file."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaConnectionError, KafkaError
from prometheus_client import REGISTRY

from headrace.errors import UserError
from headrace.roles.heartbeat import Report, heartbeats
from headrace.roles.logs import configure_logging
from headrace.roles.metrics import StatusMetrics, write_metrics
from headrace.roles.metrics_server import serve_metrics
from headrace.roles.status import STALE_SECONDS, RoleStatus, StatusFile
from headrace.roles.tracing import open_tracer
from kafka_clients.access import check_access
from kafka_clients.problems import RegistryError, explain_error
from kafka_clients.registered_ids import use_registered_ids
from schemas.kafka_settings import KafkaSettings
from schemas.settings import Settings
from schemas.topic_prefix import prefixed
from schemas.topics import TOPICS
from streams.engine.cluster import ClusterError
from streams.engine.producer import StoppingError
from streams.engine.worker import Worker

if TYPE_CHECKING:
    from schemas.tracing import Tracer

log = logging.getLogger(__name__)

#: Runs a role until the event is set; calls the function with each worker that it starts.
Work = Callable[[Settings, asyncio.Event, Callable[[Worker], None]], Awaitable[None]]

_STATUS_SECONDS = 1.0
#: Status updates are more frequent until the role is ready, because `headrace up` waits for it.
_NOT_READY_SECONDS = 0.1
#: The interval at which the metrics file is updated: shorter than the usual 15 s of Prometheus. An
#: update takes a third of the CPU of an idle worker if it is made every 3 s.
_METRICS_SECONDS = 10.0
#: The interval between two checks of the access to Kafka.
_ACCESS_CHECK_SECONDS = 2.0
#: The pause before a role that could not reach Kafka starts again.
_RESTART_SECONDS = 1.0
#: The limit of a graceful shutdown, of which batches in progress may take 15 s. `headrace up` and
#: service managers send SIGKILL after 30 s.
_SHUTDOWN_SECONDS = 20.0


def run_role(name: str, work: Work, settings: Settings, status: Path | None) -> None:
    """Run a stream role until SIGTERM or Ctrl-C; a second one exits immediately.

    Raises UserError if the cluster or the database does not meet the role's requirements. `status`
    is the status file that `headrace up` reads.
    """
    configure_logging(settings.log, name)
    # Not uvloop: its transports raise RuntimeError on a write to a closed connection, which stops
    # aiokafka's metadata task, and with it all commits (ADR 51).
    with asyncio.Runner() as runner:
        runner.run(_run(name, work, settings, status))


async def _run(name: str, work: Work, settings: Settings, status: Path | None) -> None:
    stop = asyncio.Event()
    _stop_on_signals(stop)
    reporter = _Reporter(name, status, open_tracer(settings.tracing, name))
    log.info("%s: starting; Kafka is %s", name, settings.kafka.bootstrap_servers)
    try:
        with serve_metrics(REGISTRY, [reporter.why_not_ready], settings.metrics):
            async with heartbeats(settings.kafka, name, reporter.heartbeat):
                await _work(name, work, settings, stop, reporter)
    except StoppingError as reason:
        log.info("%s: %s", name, reason)
    except ClusterError as error:
        raise UserError(f"{name}: {error}") from error
    except KafkaError as error:
        # The access was revoked after the start; the restarted role waits for it.
        problem = explain_error(error, settings.kafka.bootstrap_servers)
        if problem is None:
            raise
        raise UserError(f"{name}: {problem.sentence}") from error
    finally:
        reporter.stop()
    log.info("%s: stopped", name)


async def _work(
    name: str, work: Work, settings: Settings, stop: asyncio.Event, reporter: "_Reporter"
) -> None:
    """Run the role; start again if Kafka cannot be reached, as when a busy broker is slow."""
    while True:
        await _wait_for_access(name, settings, stop, reporter)
        try:
            await work(settings, stop, reporter.watch)
        except KafkaConnectionError as error:
            log.warning("%s: Kafka does not answer (%s); starting again", name, error)
            reporter.unwatch(f"Kafka does not answer at {settings.kafka.bootstrap_servers}")
            await _pause(stop, _RESTART_SECONDS)
        else:
            return


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait, unless `stop` is set before."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


async def _wait_for_access(
    name: str, settings: Settings, stop: asyncio.Event, reporter: "_Reporter"
) -> None:
    """Wait until `_find_problem` finds none, or `stop` is set; log the problems."""
    logged = ""
    while not stop.is_set():
        problem = await _find_problem(name, settings.kafka)
        if problem is None:
            return
        if problem != logged:
            logged = problem
            log.error("%s: %s. Waiting until this is fixed", name, logged)
        reporter.update(RoleStatus(logged, 0, 0, time.time()))
        await _pause(stop, _ACCESS_CHECK_SECONDS)


async def _find_problem(name: str, kafka: KafkaSettings) -> str | None:
    """Return why the schema registry, if any, or Kafka prevents a role from working, else None."""
    try:
        await use_registered_ids()
    except RegistryError as error:
        return str(error)
    problem = await check_access(kafka, TOPICS, prefixed(f"headrace-{name}"))
    return None if problem is None else problem.sentence


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            log.warning("second stop signal: exiting immediately")
            os._exit(1)
        log.info("stop signal received: shutting down")
        stop.set()
        loop.call_later(_SHUTDOWN_SECONDS, _exit_after_timeout)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)


def _exit_after_timeout() -> None:
    """Exit without a final commit, because Kafka or the database does not respond.

    Records since the last commit are read again, which is idempotent.
    """
    log.warning("shutdown took more than %.0f s: exiting without a final commit", _SHUTDOWN_SECONDS)
    logging.shutdown()
    os._exit(0)


class _Reporter:
    """Reports the status of the role: in its log, its status file, metrics and heartbeats."""

    def __init__(self, role: str, status_file: Path | None, tracer: "Tracer | None" = None) -> None:
        self._role = role
        self._tracer = tracer
        self._path = status_file
        self._file = None if status_file is None else StatusFile(status_file)
        self._status = RoleStatus(f"{role} is starting", 0, 0, time.time())
        self._worker: Worker | None = None
        self._task: asyncio.Task[None] | None = None
        REGISTRY.register(StatusMetrics(role, lambda: self._status))

    def watch(self, worker: Worker) -> None:
        """Report the status of a worker until `stop`."""
        self._worker = worker
        worker.processor.tracer = self._tracer
        self._task = asyncio.ensure_future(self._report(worker))

    def unwatch(self, not_ready: str) -> None:
        """Stop reporting the worker, which has stopped; `watch` is called with the next one."""
        self.stop()
        self._worker = None
        self.update(RoleStatus(not_ready, 0, 0, time.time()))

    def stop(self) -> None:
        """Stop reporting."""
        if self._task is not None:
            self._task.cancel()

    def heartbeat(self) -> Report:
        """Return the report of a heartbeat."""
        status = self._status
        counters = {"dead_letters": status.dead_letters, "states_evicted": status.evicted}
        if self._worker is not None:
            lags = self._worker.group.lag.measure(self._worker.group.done).values()
            counters["lag_records"] = sum(lag.records for lag in lags)
        return Report(status.not_ready, counters)

    def update(self, status: RoleStatus) -> None:
        """Set the status, and write it to the status file."""
        self._status = status
        if self._file is not None:
            self._file.write(status)

    def why_not_ready(self) -> str | None:
        """Return why the role is not ready; None if it is. Called in another thread."""
        age = time.time() - self._status.at
        if self._worker is not None and age > STALE_SECONDS:
            return f"{self._role} has not updated its status for {age:.0f} s"
        return self._status.not_ready

    async def _report(self, worker: Worker) -> None:
        """Update the status, and log each change of the readiness."""
        REGISTRY.register(worker.metrics.registry)
        try:
            await self._report_changes(worker)
        finally:
            REGISTRY.unregister(worker.metrics.registry)

    async def _report_changes(self, worker: Worker) -> None:
        logged: str | None = "not started"
        metrics_due = 0.0
        while True:
            reason = worker.not_ready
            if reason != logged:
                log.info("%s: %s", self._role, reason or "ready")
                logged = reason
            self.update(_status_of(worker, reason))
            if self._path is not None and time.monotonic() >= metrics_due:
                metrics_due = time.monotonic() + _METRICS_SECONDS
                with suppress(OSError):  # the status file's log entry says why
                    write_metrics(worker.metrics.registry, self._path)
            await asyncio.sleep(_NOT_READY_SECONDS if reason else _STATUS_SECONDS)


def _status_of(worker: Worker, not_ready: str | None) -> RoleStatus:
    return RoleStatus(
        not_ready,
        worker.processor.dead_letters,
        worker.capacity.evicted,
        time.time(),
        worker.discarded,
        worker.producer.broker_clock.deviation_seconds,
        worker.expired,
    )
