"""The role `live`: live counters, on a worker of its own.

Its group's offsets mean nothing: it begins where the last 30 minutes begin, so its windows are
right after any restart, and neither holds back nor restarts the exact jobs.
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

#: The consumer group, before its prefix: never renamed.
APP_ID = "headrace-live"

#: A minute more than is counted: this clock may not be the broker's.
_BACK_MS = (LIVE_MINUTES + 1) * 60_000


async def run(settings: Settings, stop: asyncio.Event, watch: Callable[[Worker], None]) -> None:
    """Count until `stop` is set; raises what ended it when it was something else.

    `watch` is called with the worker before it starts, to report its readiness.
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
        """Read from where the windows begin; what was committed says nothing."""
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
