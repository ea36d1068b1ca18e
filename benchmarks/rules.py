"""The agents' work on real events: decode, apply the rules, encode; without Faust and Kafka."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from benchmarks.events import events
from benchmarks.measure import Candidate, Work, in_process
from schemas.event_types import EVENT_TYPES
from schemas.topics import EVENTS_ALERT, EVENTS_PAGELEAVE, EVENTS_SESSION, Topic
from streams.agents import aggregate_durations, count_live, raise_alerts, route_events, sessionize
from streams.agents.count_live import Counting
from streams.domain.sessions import SessionRules
from streams.domain.subscriptions import Subscriptions
from streams.engine.since import Stretch
from streams.engine.worker import Worker
from tests.component.streams.bench import Bench, InRecord, raw_record, routed

TITLE = "The agents' work on real events"
_EVENTS = 20_000
_BATCH = 500

Register = Callable[[Worker], None]


class _Nothing:
    """A tail without records."""

    async def catch_up(self, _: int) -> AsyncIterator[list[Any]]:
        for fetched in list[list[Any]]():
            yield fetched


class _LiveBench(Bench):
    """Tells nothing by itself."""

    def every(self, *_: object) -> None:
        pass


async def _nobody_subscribed() -> None:
    pass


def _counter() -> Bench:
    counting = Counting()
    bench = _LiveBench(partial(count_live.register, counting=counting))
    counting.take({0: Stretch(0, 0)})
    return bench


def _agents() -> dict[str, Callable[[], Bench]]:
    tail: Any = _Nothing()
    subscriptions = Subscriptions()
    plain: dict[str, Register] = {
        "route_events": partial(
            route_events.register, tail=tail, partition_of_site=lambda site: len(site) % 4
        ),
        "sessionize": partial(
            sessionize.register, rules=SessionRules.of_seconds(1_800, 300, 90_000)
        ),
        "aggregate_durations": aggregate_durations.register,
        "raise_alerts": partial(
            raise_alerts.register, subscriptions=subscriptions, complete=_nobody_subscribed
        ),
    }
    return {
        **{name: partial(Bench, register) for name, register in plain.items()},
        "count_live": _counter,
    }


def _routed_to(topic: Topic) -> list[InRecord]:
    return [
        routed(offset, event, event.event_ts // 1_000)
        for offset, event in enumerate(events(_EVENTS))
        if topic in EVENT_TYPES[event.type].routes
    ]


def _candidate(name: str, make: Callable[[], Bench], records: Sequence[InRecord]) -> Candidate:
    async def job() -> int:
        bench = make()
        await bench.assign()
        for begin in range(0, len(records), _BATCH):
            await bench.run_batch(*records[begin : begin + _BATCH])
        return len(records)

    return in_process(name, job)


@asynccontextmanager
async def works() -> AsyncIterator[list[Work]]:
    """Give the works of this benchmark."""
    raw = [
        raw_record(offset, event, timestamp=event.event_ts // 1_000)
        for offset, event in enumerate(events(_EVENTS))
    ]
    session = _routed_to(EVENTS_SESSION)
    inputs = {
        "route_events": raw,
        "sessionize": session,
        "aggregate_durations": _routed_to(EVENTS_PAGELEAVE),
        "raise_alerts": _routed_to(EVENTS_ALERT),
        "count_live": session,
    }
    yield [
        Work(
            "Decode, apply the rules, encode",
            [_candidate(name, make, inputs[name]) for name, make in _agents().items()],
        )
    ]
