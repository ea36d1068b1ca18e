"""The agents' rules in plain Faust; arguments: AGENT BOOTSTRAP TOPIC GROUP EVENTS.

The rules are those of headrace. Faust is used as in its user guide: an agent processes one event
at a time, `app.Table` holds the states, `topic.send` sends, and fastavro encodes. In favor of
Faust: uvloop, memory tables whose states are never decoded, large producer batches, and event ids
in memory only.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import faust
import uvloop
from faust.serializers.codecs import Codec

from benchmarks.backlog import partition_of
from benchmarks.jobs import PARTITIONS
from benchmarks.live_sessions import RULES
from benchmarks.peers import avro
from benchmarks.peers.plain_faust import faust_app, run_app
from benchmarks.stopwatch import Stopwatch, end_process
from schemas.headers import EVENT_ID, SOURCE, TYPE, Source
from schemas.raw_records import site_of
from schemas.records import RawEvent
from schemas.topics import (
    ALERT_STATES,
    ALERTS,
    EVENTS_ALERT,
    LIVE_COUNTERS,
    PAGE_DURATIONS,
    SESSIONS,
    Topic,
)
from streams.agents.count_live import PUBLISH_SECONDS
from streams.domain.alerts.aggregator import AlertAggregator
from streams.domain.alerts.subscriptions import Subscriptions
from streams.domain.durations.aggregator import DurationAggregator
from streams.domain.live.aggregator import LiveAggregator
from streams.domain.routing import routes as routing
from streams.domain.routing.dedupe import SERVER_IDS, SeenIds
from streams.domain.sessions.aggregator import SessionAggregator
from streams.engine.capacity import MAX_STATES

#: Processes one event.
Handle = Callable[[Any], Awaitable[None]]


class _Avro(Codec):  # type: ignore[misc]
    """The serializer of states; they are never decoded, because there is no restart."""

    def _dumps(self, state: Any) -> bytes:
        return avro.encode(state)


class _States:
    """A Faust table with the interface of `States`; each change is published immediately."""

    applied_until = -1

    def __init__(self, app: faust.App, topic: Topic) -> None:
        changelog = app.topic(topic.name, key_type=bytes, value_serializer=_Avro())
        self._table = app.Table(topic.name, key_type=bytes, changelog_topic=changelog)
        self._table.value_serializer = _Avro()

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, key: object) -> bool:
        return key in self._table

    def get(self, key: bytes) -> Any:
        return self._table.get(key)

    def put(self, key: bytes, state: Any) -> None:
        self._table[key] = state

    def delete(self, key: bytes) -> None:
        self._table.pop(key, None)

    def is_changed(self, _: bytes) -> bool:
        return False

    def publish(self, _: bytes) -> None:
        """Do nothing: `put` has published it."""


def _topic(app: faust.App, name: str) -> Any:
    return app.topic(name, key_type=bytes, value_type=bytes, value_serializer="raw")


def _source(event: Any) -> Source:
    return Source.unpack(event.headers[SOURCE])


def _route_events(app: faust.App) -> Handle:
    routes = {
        name: [_topic(app, topic.name) for topic in topics]
        for name, topics in routing.same_partition_topics().items()
    }
    alerting, alerts = routing.alerting_types(), _topic(app, EVENTS_ALERT.name)
    seen_ids = [SeenIds(SERVER_IDS) for _ in range(PARTITIONS)]

    async def route_events(event: Any) -> None:
        message, name = event.message, event.headers[TYPE]
        offset, log_ms = message.offset, int(message.timestamp * 1_000)
        partition = message.partition
        if seen_ids[partition].is_repeat(event.headers[EVENT_ID], event.key, offset, log_ms):
            return
        headers = {**event.headers, SOURCE: Source(partition, offset, log_ms).pack()}
        for topic in routes[name]:
            await topic.send(key=event.key, value=event.value, partition=partition, headers=headers)
        if name in alerting:
            site = site_of(event.key)
            target = partition_of(site, PARTITIONS)
            await alerts.send(key=site, value=event.value, partition=target, headers=headers)

    return route_events


def _sessionize(app: faust.App) -> Handle:
    states = _States(app, SESSIONS)
    aggregators = [SessionAggregator(states, RULES) for _ in range(PARTITIONS)]

    async def sessionize(event: Any) -> None:
        aggregator, src = aggregators[event.message.partition], _source(event)
        aggregator.evict(MAX_STATES)
        while aggregator.advance(src):
            pass
        aggregator.add(avro.decode(event.value, RawEvent), src)

    return sessionize


def _aggregate_durations(app: faust.App) -> Handle:
    states = _States(app, PAGE_DURATIONS)
    aggregators = [DurationAggregator(states, partition) for partition in range(PARTITIONS)]

    async def aggregate_durations(event: Any) -> None:
        aggregator, src = aggregators[event.message.partition], _source(event)
        aggregator.evict(MAX_STATES)
        aggregator.advance(src)
        aggregator.add(avro.decode(event.value, RawEvent), src)
        aggregator.flush()

    return aggregate_durations


def _raise_alerts(app: faust.App) -> Handle:
    states, alerts = _States(app, ALERT_STATES), _topic(app, ALERTS.name)
    aggregators = [AlertAggregator(states, Subscriptions()) for _ in range(PARTITIONS)]

    async def raise_alerts(event: Any) -> None:
        partition, src = event.message.partition, _source(event)
        aggregator = aggregators[partition]
        aggregator.evict(MAX_STATES)
        aggregator.advance(src)
        for alert in aggregator.add(avro.decode(event.value, RawEvent), src):
            await alerts.send(key=event.key, value=avro.encode(alert), partition=partition)
        aggregator.flush()

    return raise_alerts


def _count_live(app: faust.App) -> Handle:
    counters = _topic(app, LIVE_COUNTERS.name)
    aggregators = [LiveAggregator(partition) for partition in range(PARTITIONS)]

    async def count_live(event: Any) -> None:
        aggregator, raw = aggregators[event.message.partition], avro.decode(event.value, RawEvent)
        aggregator.apply(raw, _source(event), time.monotonic() * 1_000)

    @app.timer(PUBLISH_SECONDS)  # type: ignore[untyped-decorator]
    async def publish() -> None:
        for partition, aggregator in enumerate(aggregators):
            for counters_of_site in aggregator.due(time.monotonic() * 1_000):
                key = counters_of_site.site_id.encode()
                value = avro.encode(counters_of_site)
                await counters.send(key=key, value=value, partition=partition)

    return count_live


_AGENTS = {
    "route_events": _route_events,
    "sessionize": _sessionize,
    "aggregate_durations": _aggregate_durations,
    "raise_alerts": _raise_alerts,
    "count_live": _count_live,
}


async def _work(app: faust.App, handle: Handle, stopwatch: Stopwatch, stream: Any) -> None:
    """Process all events, and wait for all acks."""
    seen_ids = 0
    async for event in stream.events():
        stopwatch.begin()
        await handle(event)
        seen_ids += 1
        if seen_ids == stopwatch.events:
            await app.producer.flush()
            stopwatch.end()
            # Live counters are published at an interval, and `flush` misses records in flight.
            await asyncio.sleep(2 * PUBLISH_SECONDS)
            await app.producer.flush()
            end_process()


async def main() -> None:
    """Run the agent."""
    logging.basicConfig(level=logging.WARNING)  # logs why an agent crashed
    agent, bootstrap, topic, group, events = sys.argv[1:]
    app = faust_app(bootstrap, group)
    app.agent(_topic(app, topic))(partial(_work, app, _AGENTS[agent](app), Stopwatch(int(events))))
    await run_app(app)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
