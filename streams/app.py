"""The role `streams`: its agents on one worker, and the punctuation."""

import asyncio
from collections.abc import Callable
from functools import lru_cache

from aiokafka.partitioner import murmur2

from schemas.event_types import TICK
from schemas.headers import TYPE
from schemas.settings import Settings
from schemas.topic_prefix import prefixed
from schemas.topics import EVENTS_ALERT, EVENTS_PAGELEAVE, EVENTS_RAW, EVENTS_SESSION, TOPICS
from streams.agents import (
    aggregate_durations,
    count_discarded,
    raise_alerts,
    route_events,
    sessionize,
)
from streams.agents.follow_subscriptions import follow
from streams.domain.alerts.subscriptions import Subscriptions
from streams.domain.routing.dedupe import CLIENT_IDS
from streams.domain.sessions.rules import SessionRules
from streams.engine.capacity import Capacity
from streams.engine.cluster import Epoch, find_epoch, wait_for_cluster
from streams.engine.log_tail import LogTail
from streams.engine.lost_records import Flow, route_again
from streams.engine.producer import OutRecord
from streams.engine.worker import Worker

#: The consumer group, without prefix. Never rename it.
APP_ID = "headrace-streams"


def flow() -> Flow:
    """Return the router's source and output topics; only events for alerts change the partition."""
    return Flow(
        EVENTS_RAW.name,
        [EVENTS_SESSION.name, EVENTS_PAGELEAVE.name, EVENTS_ALERT.name],
        spread=[EVENTS_ALERT.name],
    )


async def run(settings: Settings, stop: asyncio.Event, watch: Callable[[Worker], None]) -> None:
    """Run the role until `stop` is set; raises fatal errors.

    Calls `watch` with the worker before it starts, for readiness checks.
    """
    kafka = settings.kafka
    await wait_for_cluster(kafka, TOPICS, kafka.partitions, stop)
    epoch = await find_epoch(kafka)
    worker = build(settings, epoch)
    watch(worker)
    worker.expired = await route_again(kafka, prefixed(APP_ID), flow(), stop, worker.leaders)
    await worker.run(stop)


def build(settings: Settings, epoch: Epoch) -> Worker:
    """Return the worker of the role with its agents, for a cluster in this epoch."""
    kafka, session = settings.kafka, settings.session
    worker = Worker(
        prefixed(APP_ID),
        kafka,
        max_refused_in_a_row=kafka.max_refused_in_a_row,
        capacity=Capacity(settings.streams.max_states, settings.streams.max_state_bytes),
        epoch=epoch.number,
        role="streams",
    )
    tail = LogTail(kafka, EVENTS_SESSION.name, CLIENT_IDS.limit)
    rules = SessionRules.of_seconds(
        session.gap_seconds, session.lateness_seconds, session.retention_seconds
    )
    raw_tail = LogTail(kafka, EVENTS_RAW.name, CLIENT_IDS.limit)
    worker.drains = flow().routed
    route_events.register(worker, tail, partitioner(kafka.partitions), epoch, raw_tail)
    sessionize.register(worker, rules)
    aggregate_durations.register(worker)
    subscriptions = Subscriptions()
    follower = follow(worker, kafka, subscriptions)
    raise_alerts.register(
        worker, subscriptions, follower.complete, settings.query.public_url or None
    )
    count_discarded.register(worker, kafka, kafka.partitions)
    _punctuate(worker, settings.streams.tick_seconds)
    return worker


def _punctuate(worker: Worker, seconds: float) -> None:
    """Send punctuation records to the partitions of `events-raw` that this worker owns."""

    async def punctuate() -> None:
        record = OutRecord(None, None, ((TYPE, TICK.encode()),))
        await asyncio.gather(
            *(
                worker.producer.send(EVENTS_RAW.name, partition, [record])
                for partition in worker.partitions_of(EVENTS_RAW)
            )
        )

    worker.every(seconds, punctuate)


def partitioner(partitions: int) -> Callable[[bytes], int]:
    """Return a function of a key that returns its partition, as Kafka's default partitioner."""

    @lru_cache(maxsize=10_000)
    def partition_of(key: bytes) -> int:
        return int(murmur2(key) & 0x7FFFFFFF) % partitions

    return partition_of
