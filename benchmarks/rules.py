"""The agents without Faust and Kafka: decode real events, apply the rules, encode."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.events import events
from benchmarks.measure import Candidate, Workload, in_process
from benchmarks.registered import registrations
from schemas.event_types import EVENT_TYPES
from schemas.topics import EVENTS_ALERT, EVENTS_PAGELEAVE, EVENTS_SESSION, Topic
from streams.agents.count_live import Counting
from streams.engine.offset_range import OffsetRange
from tests.component.streams.bench import Bench, InRecord, raw_record, routed

TITLE = "The agents without Kafka, on real events"
_EVENTS = 20_000
_BATCH = 500


class _EmptyLogTail:
    """A log tail without records."""

    async def catch_up(self, _: int) -> AsyncIterator[list[Any]]:
        for fetched in list[list[Any]]():
            yield fetched


class _BenchWithoutTimers(Bench):
    """A bench that runs no periodic functions."""

    def every(self, *_: object, **__: object) -> None:
        pass


def _bench(agent: str) -> Bench:
    tail: Any = _EmptyLogTail()
    counting = Counting()
    counting.assign({0: OffsetRange(0, 0)})
    return _BenchWithoutTimers(registrations(tail, lambda site: len(site) % 4, counting)[agent])


def _routed_to(topic: Topic) -> list[InRecord]:
    return [
        routed(offset, event, event.event_ts // 1_000)
        for offset, event in enumerate(events(_EVENTS))
        if topic in EVENT_TYPES[event.type].routes
    ]


def _candidate(agent: str, records: Sequence[InRecord]) -> Candidate:
    async def job() -> int:
        bench = _bench(agent)
        await bench.assign()
        for start in range(0, len(records), _BATCH):
            await bench.run_batch(*records[start : start + _BATCH])
        return len(records)

    return in_process(agent, job)


@asynccontextmanager
async def workloads() -> AsyncIterator[list[Workload]]:
    """Yield the workloads of this benchmark."""
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
        Workload(
            "Decode, apply the rules, encode",
            [_candidate(agent, records) for agent, records in inputs.items()],
        )
    ]
