"""One role as a process: its event loop, its signals, its log, its status."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from aiokafka.errors import KafkaConnectionError, KafkaError

from infra.errors import UserError
from infra.logs import configure_logging
from infra.role_status import RoleStatus, StatusFile
from kafka_clients.access import check_access
from kafka_clients.refusals import explain_error
from schemas.kafka_names import prefixed
from schemas.kafka_settings import KafkaSettings
from schemas.settings import Settings
from schemas.topics import TOPICS
from streams.engine.cluster import ClusterError
from streams.engine.producer import StoppingError
from streams.engine.worker import Worker

log = logging.getLogger(__name__)

Work = Callable[[Settings, asyncio.Event, Callable[[Worker], None]], Awaitable[None]]

_STATUS_SECONDS = 1.0
#: Between two questions to a Kafka that refuses something.
_REFUSED_SECONDS = 2.0
#: As long as it is not ready, for somebody may wait for it.
_NOT_READY_SECONDS = 0.1
#: After which an end that waits for Kafka is over: `headrace up` kills after 30 s, as service
#: managers do. A worker may spend 15 s of it on the batches that it has begun.
_END_SECONDS = 20.0


def run_role(name: str, work: Work, settings: Settings, status: Path | None) -> None:
    """Run a stream role until TERM or Ctrl-C; a second one ends it at once.

    `UserError` when the cluster or the database is not as the role needs it. `status` is the
    file that the role renews, for `headrace up`.
    """
    configure_logging()
    # Not on uvloop: its transports raise RuntimeError when a connection has just been closed, by
    # which aiokafka's metadata task ends, and then nothing is committed any more (ADR 51).
    with asyncio.Runner() as runner:
        runner.run(_run(name, work, settings, status))


async def _run(name: str, work: Work, settings: Settings, status: Path | None) -> None:
    stop = asyncio.Event()
    _stop_on_signals(stop)
    watchers: list[asyncio.Task[None]] = []

    def watch(worker: Worker) -> None:
        watchers.append(asyncio.ensure_future(_tell(name, worker, status)))

    log.info("%s: starting; Kafka is %s", name, settings.kafka.bootstrap_servers)
    try:
        await _wait_until_allowed(name, settings.kafka, stop, status)
        await work(settings, stop, watch)
    except StoppingError as reason:
        log.info("%s: %s", name, reason)
    except (ClusterError, KafkaConnectionError) as error:
        raise UserError(f"{name}: {error}") from error
    except KafkaError as error:
        # It was allowed when the role started. The next start waits until it is again.
        refusal = explain_error(error, settings.kafka.bootstrap_servers)
        if refusal is None:
            raise
        raise UserError(f"{name}: {refusal.sentence}") from error
    finally:
        for watcher in watchers:
            watcher.cancel()
    log.info("%s: ended in order", name)


async def _wait_until_allowed(
    name: str, kafka: KafkaSettings, stop: asyncio.Event, status: Path | None
) -> None:
    """Return when Kafka refuses nothing that the role needs, or `stop` is set; say what it does."""
    file, logged = None if status is None else StatusFile(status), ""
    while not stop.is_set():
        refusal = await check_access(kafka, TOPICS, prefixed(f"headrace-{name}"))
        if refusal is None:
            return
        if refusal.sentence != logged:
            logged = refusal.sentence
            log.error("%s: %s. It waits until that is changed", name, logged)
        if file is not None:
            file.renew(RoleStatus(logged, 0, 0, time.time()))
        with suppress(TimeoutError):
            async with asyncio.timeout(_REFUSED_SECONDS):
                await stop.wait()


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            log.warning("told to end a second time: ending at once")
            os._exit(1)
        log.info("told to end")
        stop.set()
        loop.call_later(_END_SECONDS, _end_unfinished)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)


def _end_unfinished() -> None:
    """End without a last word to Kafka, which does not listen: what is done is done.

    Its offsets may lag behind; what is read again for that changes nothing.
    """
    log.warning("not ended after %.0f s, for something does not answer: ending now", _END_SECONDS)
    logging.shutdown()
    os._exit(0)


async def _tell(name: str, worker: Worker, status: Path | None) -> None:
    """Log when the role becomes ready or stops being so, and renew its status file."""
    before: str | None = "not started"
    file = None if status is None else StatusFile(status)
    while True:
        reason = worker.not_ready
        if reason != before:
            log.info("%s: %s", name, reason or "ready")
            before = reason
        if file is not None:
            file.renew(_status_of(worker, reason))
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
