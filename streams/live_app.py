"""The role `live`: live counters, on a separate worker.

It ignores the offsets of its group: after each assignment it reads the last 30 minutes, so its
windows are complete after any restart. It does not delay the role `streams`.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping

from aiokafka import TopicPartition

from schemas.kafka_settings import KafkaSettings
from schemas.live import LIVE_MINUTES
from schemas.settings import Settings
from schemas.topic_prefix import prefixed
from schemas.topics import EVENTS_SESSION, TOPICS
from streams.agents import count_live, report_live
from streams.app import APP_ID as ROUTER_ID
from streams.engine.cluster import wait_for_cluster
from streams.engine.offset_range import offset_ranges_since
from streams.engine.worker import Worker
from streams.live_metrics import LiveMetrics

#: The consumer group, without prefix. Never rename it.
APP_ID = "headrace-live"

#: A minute more than is counted, because the clocks of worker and broker may differ.
_BACK_MS = (LIVE_MINUTES + 1) * 60_000


async def run(settings: Settings, stop: asyncio.Event, watch: Callable[[Worker], None]) -> None:
    """Run the role until `stop` is set; raises fatal errors.

    Calls `watch` with the worker before it starts, for readiness checks.
    """
    kafka = settings.kafka
    cluster = await wait_for_cluster(kafka, TOPICS, kafka.partitions, stop)
    worker = build(kafka, cluster.epoch)
    watch(worker)
    await worker.run(stop)


def build(kafka: KafkaSettings, epoch: int) -> Worker:
    """Return the worker of the role with its agents, for a cluster with this epoch."""
    counting = count_live.Counting()

    async def positions(sources: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offsets at which the windows begin, instead of the committed ones."""
        since_ms = int(time.time() * 1_000) - _BACK_MS
        ranges = await offset_ranges_since(
            kafka, EVENTS_SESSION.name, [tp.partition for tp in sources], since_ms
        )
        begins = counting.assign(ranges)
        return {tp: begins[tp.partition] for tp in sources}

    worker = Worker(prefixed(APP_ID), kafka, positions=positions, role="live")
    count_live.register(worker, counting)
    worker.metrics.registry.register(LiveMetrics(counting))
    report_live.register(worker, counting, kafka, prefixed(ROUTER_ID), epoch)
    return worker
