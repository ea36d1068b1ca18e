"""The role `streams`: its agents on one worker, and the ticks."""

import asyncio
from collections.abc import Callable
from functools import lru_cache

from aiokafka.partitioner import murmur2

from schemas.event_types import TICK
from schemas.headers import TYPE
from schemas.settings import Settings
from schemas.topics import EVENTS_RAW, EVENTS_SESSION, TOPICS
from streams.agents import aggregate_durations, raise_alerts, route_events, sessionize
from streams.agents.follow_subscriptions import follow
from streams.domain.dedupe import CLIENT_IDS
from streams.domain.sessions import SessionRules
from streams.domain.subscriptions import Subscriptions
from streams.engine.cluster import wait_for_cluster
from streams.engine.producer import OutRecord
from streams.engine.tail import Tail
from streams.engine.worker import Worker

#: The consumer group: never renamed.
APP_ID = "headrace-streams"


async def run(settings: Settings, stop: asyncio.Event, watch: Callable[[Worker], None]) -> None:
    """Work until `stop` is set; raises what ended it when it was something else.

    `watch` is given the worker before it starts, to tell whether it is ready.
    """
    kafka = settings.kafka
    await wait_for_cluster(kafka.bootstrap_servers, TOPICS, kafka.partitions, stop)
    worker = _build(settings)
    watch(worker)
    await worker.run(stop)


def _build(settings: Settings) -> Worker:
    kafka, session = settings.kafka, settings.session
    worker = Worker(
        APP_ID,
        kafka.bootstrap_servers,
        max_refused_in_a_row=kafka.max_refused_in_a_row,
        max_states=settings.streams.max_states,
    )
    tail = Tail(kafka.bootstrap_servers, EVENTS_SESSION.name, CLIENT_IDS.most)
    rules = SessionRules.of_seconds(
        session.gap_seconds, session.lateness_seconds, session.retention_seconds
    )
    route_events.register(worker, tail, _site_partitioner(kafka.partitions))
    sessionize.register(worker, rules)
    aggregate_durations.register(worker)
    subscriptions = Subscriptions()
    follower = follow(worker, kafka.bootstrap_servers, kafka.partitions, subscriptions)
    raise_alerts.register(worker, subscriptions, follower.complete)
    _tick(worker, settings.streams.tick_seconds)
    return worker


def _tick(worker: Worker, seconds: float) -> None:
    """Send ticks to the partitions that this worker owns, behind whatever waits there."""

    async def tick() -> None:
        record = OutRecord(None, None, ((TYPE, TICK.encode()),))
        await asyncio.gather(
            *(
                worker.producer.send(EVENTS_RAW.name, partition, [record])
                for partition in worker.partitions_of(EVENTS_RAW)
            )
        )

    worker.every(seconds, tick)


def _site_partitioner(partitions: int) -> Callable[[bytes], int]:
    """Return where Kafka's own partitioner puts a site: its alerts are keyed by it."""

    @lru_cache(maxsize=10_000)
    def partition_of(site: bytes) -> int:
        return int(murmur2(site) & 0x7FFFFFFF) % partitions

    return partition_of
