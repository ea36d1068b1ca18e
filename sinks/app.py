"""The role `sinks`: its agents on one worker, over one writer, and the delivery of alerts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from aiokafka import TopicPartition

from schemas.kafka_names import prefixed
from schemas.kafka_settings import KafkaSettings
from schemas.settings import Settings
from schemas.topics import SUBSCRIPTIONS, TOPICS
from sinks.agents import stores
from sinks.sql.digests import Budget
from sinks.sql.errors import DatabaseUnavailable
from sinks.sql.offsets import check_log_end
from sinks.sql.reader import open_reader
from sinks.sql.writer import Writer, open_writer
from sinks.webhooks.deliver import Deliveries
from sinks.webhooks.mend import Mending
from sinks.webhooks.prune import Pruning
from sinks.webhooks.sender import Sender
from sinks.webhooks.service import Subscriptions
from sinks.webhooks.topic import open_topic
from streams.engine.cluster import wait_for_cluster
from streams.engine.global_table import GlobalTable
from streams.engine.producer import StoppingError
from streams.engine.worker import Worker

#: The consumer group, before its prefix, and the name in `consumer_offsets`: never renamed.
APP_ID = "headrace-sinks"


async def run(settings: Settings, stop: asyncio.Event, watch: Callable[[Worker], None]) -> None:
    """Store results until `stop` is set; raises what ended it when it was something else.

    `watch` is given the worker before it starts, to tell whether it is ready.
    """
    try:
        await _run(settings, stop, watch)
    except DatabaseUnavailable as error:  # only while it stops: else it waits
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
    writer.budget = Budget(
        webhooks.max_per_minute,
        webhooks.max_per_hour,
        webhooks.max_cooldown_subjects,
        webhooks.digest_seconds,
    )
    try:
        await writer.check_cluster()
        worker = _build(kafka, writer)
        async with _open_delivery(settings, worker, writer):
            watch(worker)
            await worker.run(stop)
    finally:
        await writer.close()


def _build(kafka: KafkaSettings, writer: Writer) -> Worker:
    async def positions(sources: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Read from where the database is: its rows are the truth, the group's a hint."""
        ends = await worker.group.end_offsets(sources)
        starts = {tp: await writer.assign(tp.topic, tp.partition) for tp in sources}
        for tp, start in starts.items():
            check_log_end(tp.topic, tp.partition, start, ends[tp])
        return starts

    worker = Worker(
        prefixed(APP_ID),
        kafka,
        positions=positions,
        max_refused_in_a_row=kafka.max_refused_in_a_row,
    )
    worker.checks.append(lambda: writer.trouble)
    stores.register(worker, writer)
    return worker


@asynccontextmanager
async def _open_delivery(settings: Settings, worker: Worker, writer: Writer) -> AsyncIterator[None]:
    """Have the worker deliver what is due while it runs, and keep topic and SQL together.

    All of it writes through the writer's database: on SQLite, a second connection would wait for
    seconds where there is always a batch that is faster to take the lock.
    """
    kafka, allow_private = settings.kafka, settings.webhooks.allow_private
    database, reader = writer.database, open_reader(settings.database.url)
    async with (
        open_topic(kafka) as publish,
        Sender(allow_private=allow_private) as sender,
    ):
        subscriptions = Subscriptions(
            database, reader, publish, sender.resolver, allow_private=allow_private
        )
        deliveries = Deliveries(database, reader, sender, subscriptions.disable)
        writer.on_enqueued = deliveries.wake
        worker.checks.append(lambda: deliveries.trouble)
        mending = Mending(database, reader, publish)
        table = GlobalTable(kafka, SUBSCRIPTIONS.name, kafka.partitions, mending.apply)
        pruning = Pruning(database, timedelta(seconds=settings.webhooks.retention_seconds))
        mend = partial(mending.run, table.complete)
        for job in (table.run, deliveries.run, mend, pruning.run):
            worker.background(job)
        try:
            yield
        finally:
            await reader.close()
