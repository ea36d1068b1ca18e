"""The role `sinks`: one worker that runs the sink agents and delivers alerts."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from aiokafka import TopicPartition

from schemas.kafka_settings import KafkaSettings
from schemas.plurals import counted
from schemas.settings import RetentionSettings, Settings
from schemas.topic_prefix import prefixed
from schemas.topics import BLOCKED_IDS, SITES, SUBSCRIPTIONS, TOPICS
from sinks.agents import sink_agents
from sinks.delivery.dispatcher import Dispatcher
from sinks.delivery.publisher import open_publisher
from sinks.delivery.reconciler import Reconciler
from sinks.delivery.retention import Retention as DeliveryRetention
from sinks.delivery.secret_box import SecretBox, encrypt_all
from sinks.delivery.sender import Sender
from sinks.delivery.service import Subscriptions
from sinks.metrics import Latencies, SinkMetrics
from sinks.sites.blocked_ids import BlockReconciler
from sinks.sites.reconciler import SiteReconciler
from sinks.sql.digests import DeliveryLimits
from sinks.sql.engine import Database
from sinks.sql.errors import DatabaseUnavailable
from sinks.sql.offsets import check_log_end
from sinks.sql.reader import open_reader
from sinks.sql.retention import Retention
from sinks.sql.writer import Writer, open_writer
from streams.engine.cluster import wait_for_cluster
from streams.engine.global_table import GlobalTable
from streams.engine.producer import StoppingError
from streams.engine.worker import Worker

log = logging.getLogger(__name__)

#: The consumer group (without prefix), also the `app` in `consumer_offsets`. Never rename it.
APP_ID = "headrace-sinks"


async def run(settings: Settings, stop: asyncio.Event, watch: Callable[[Worker], None]) -> None:
    """Run the role until `stop` is set; raises fatal errors.

    Calls `watch` with the worker before it starts, for readiness checks.
    """
    try:
        await _run(settings, stop, watch)
    except DatabaseUnavailable as error:  # raised only during shutdown
        raise StoppingError(str(error)) from error


async def _run(settings: Settings, stop: asyncio.Event, watch: Callable[[Worker], None]) -> None:
    kafka = settings.kafka
    cluster = await wait_for_cluster(kafka, TOPICS, kafka.partitions, stop)
    writer = await open_writer(
        settings.database.url,
        app=APP_ID,
        cluster_id=cluster.cluster_id,
        epoch=cluster.epoch,
        should_stop=stop.is_set,
    )
    webhooks = settings.webhooks
    writer.limits = DeliveryLimits(
        webhooks.max_per_minute,
        webhooks.max_per_hour,
        webhooks.max_cooldown_subjects,
        webhooks.digest_seconds,
    )
    try:
        await writer.check_cluster()
        worker, latencies = build(kafka, writer)
        async with (
            _open_delivery(settings, worker, writer) as dispatcher,
            _open_sites(settings, worker, writer),
        ):
            worker.metrics.registry.register(SinkMetrics(latencies, writer, dispatcher))
            watch(worker)
            await worker.run(stop)
    finally:
        await writer.close()


def build(kafka: KafkaSettings, writer: Writer) -> tuple[Worker, Latencies]:
    """Return the worker of the role with its agents, and the latencies that they measure."""

    async def start_offsets(sources: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offsets in `consumer_offsets`, which override the group's (design D10)."""
        ends = await worker.group.end_offsets(sources)
        starts = {tp: await writer.assign(tp.topic, tp.partition) for tp in sources}
        for tp, start in starts.items():
            check_log_end(tp.topic, tp.partition, start, ends[tp])
        return starts

    worker = Worker(
        prefixed(APP_ID),
        kafka,
        positions=start_offsets,
        max_refused_in_a_row=kafka.max_refused_in_a_row,
        role="sinks",
    )
    worker.checks.append(lambda: writer.problem)
    return worker, sink_agents.register(worker, writer)


def delivery_retention(database: Database, settings: Settings) -> DeliveryRetention:
    """Return the retention of deliveries, which are kept no longer than alerts."""
    period = timedelta(seconds=settings.webhooks.retention_seconds)
    if settings.retention.alerts_days:
        period = min(period, timedelta(days=settings.retention.alerts_days))
    return DeliveryRetention(database, period)


def row_retention(database: Database, settings: RetentionSettings) -> Retention:
    """Return the retention of events, sessions, page durations and alerts."""
    days = {
        "events": settings.events_days,
        "sessions": settings.sessions_days,
        "alerts": settings.alerts_days,
    }
    return Retention(database, days)


@asynccontextmanager
async def _open_sites(settings: Settings, worker: Worker, writer: Writer) -> AsyncIterator[None]:
    """Reconcile registered sites and blocked ids as background jobs of the worker."""
    kafka, reader = settings.kafka, open_reader(settings.database.url)
    async with (
        open_publisher(kafka, SITES) as publish_site,
        open_publisher(kafka, BLOCKED_IDS) as publish_blocked,
    ):
        for topic, reconciler in (
            (SITES, SiteReconciler(writer.database, reader, publish_site)),
            (BLOCKED_IDS, BlockReconciler(writer.database, reader, publish_blocked)),
        ):
            table = GlobalTable(kafka, topic.name, None, reconciler.apply)
            worker.background(table.run)
            worker.background(partial(reconciler.run, table.complete))
        try:
            yield
        finally:
            await reader.close()


@asynccontextmanager
async def _open_delivery(
    settings: Settings, worker: Worker, writer: Writer
) -> AsyncIterator[Dispatcher]:
    """Run delivery, reconciliation and retention as background jobs of the worker.

    They share the writer's database: on SQLite, a second connection would wait seconds for the
    write lock while batches keep taking it.
    """
    kafka, allow_private = settings.kafka, settings.webhooks.allow_private
    database, reader = writer.database, open_reader(settings.database.url)
    box = SecretBox(settings.secrets.keys())
    encrypted, failed = await database.run(partial(encrypt_all, box=box))
    if encrypted:
        log.info("encrypted %s of subscriptions", counted(encrypted, "secret"))
    if failed:
        log.error(
            "%s of subscriptions cannot be decrypted: add the key to "
            "HEADRACE_SECRETS__KEY_FILE, and restart this role",
            counted(failed, "secret"),
        )
    async with (
        open_publisher(kafka) as publish,
        Sender(allow_private=allow_private, box=box) as sender,
    ):
        subscriptions = Subscriptions(
            database, reader, publish, sender.resolver, allow_private=allow_private
        )
        dispatcher = Dispatcher(database, reader, sender, subscriptions.disable)
        writer.on_enqueued = dispatcher.wake
        worker.checks.append(lambda: dispatcher.problem)
        reconciler = Reconciler(database, reader, publish)
        table = GlobalTable(kafka, SUBSCRIPTIONS.name, None, reconciler.apply)
        reconcile = partial(reconciler.run, table.complete)
        purge_deliveries = delivery_retention(database, settings).run
        purge = row_retention(database, settings.retention).run
        for job in (table.run, dispatcher.run, reconcile, purge_deliveries, purge):
            worker.background(job)
        try:
            yield dispatcher
        finally:
            await reader.close()
