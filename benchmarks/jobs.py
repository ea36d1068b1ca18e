"""The input of each agent, and the number of results that it must write."""

from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from benchmarks.backlog import Record, partition_of
from benchmarks.events import distinct
from benchmarks.outcome import Results
from schemas.codec import decode
from schemas.event_types import EVENT_TYPES
from schemas.headers import SOURCE, Source
from schemas.records import LiveCounters, PageDuration, RawEvent, SessionState
from schemas.topics import (
    ALERTS,
    EVENTS_ALERT,
    EVENTS_PAGELEAVE,
    EVENTS_RAW,
    EVENTS_SESSION,
    LIVE_COUNTERS,
    PAGE_DURATIONS,
    SESSIONS,
    Topic,
)
from streams.domain.alerts.fingerprints import fingerprint
from tests import reference
from tests.component.streams.bench import raw_record

PARTITIONS = 4


class Job(NamedTuple):
    """What an agent reads and writes; `expected` returns the number of its results."""

    source: Topic
    events: int
    results: Results
    expected: Callable[[reference.Log], int]


def _routed(log: reference.Log) -> int:
    return sum(len(EVENT_TYPES[event.type].routes) for event, _ in log)


def _leaves(log: reference.Log) -> int:
    return sum(row["leaves"] for row in reference.page_durations(log).values())


def _events_of_session(value: bytes) -> int:
    return sum(visit.events for visit in decode(value, SessionState).visits)


def _events_of_counters(value: bytes) -> int:
    """Return the number of events of the last 30 minutes, which is longer than a backlog."""
    return sum(minute.events for minute in decode(value, LiveCounters).minutes)


JOBS = {
    "route_events": Job(
        EVENTS_RAW,
        80_000,
        Results((EVENTS_SESSION.name, EVENTS_PAGELEAVE.name, EVENTS_ALERT.name)),
        _routed,
    ),
    "sessionize": Job(EVENTS_SESSION, 80_000, Results((SESSIONS.name,), _events_of_session), len),
    "aggregate_durations": Job(
        EVENTS_PAGELEAVE,
        30_000,
        Results((PAGE_DURATIONS.name,), lambda value: decode(value, PageDuration).leaves),
        _leaves,
    ),
    "raise_alerts": Job(
        EVENTS_ALERT,
        15_000,
        Results((ALERTS.name,)),
        lambda log: len(reference.alerts(log, fingerprint)),
    ),
    "count_live": Job(
        EVENTS_SESSION, 40_000, Results((LIVE_COUNTERS.name,), _events_of_counters), len
    ),
}


class Backlog(NamedTuple):
    """The records of each partition, and the expected number of results."""

    partitions: list[list[Record]]
    expected: int


@cache
def backlog(agent: str, events: int) -> Backlog:
    """Return a backlog of `events` events for an agent."""
    job = JOBS[agent]
    partitions: list[list[Record]] = [[] for _ in range(PARTITIONS)]
    offsets: defaultdict[int, int] = defaultdict(int)
    log: list[tuple[RawEvent, Source]] = []
    for event in distinct(events, lambda event: _is_read(event, job.source)):
        key = f"{event.site_id}:{event.session_id}".encode()
        partition = partition_of(key, PARTITIONS)
        src = Source(partition, offsets[partition], event.event_ts // 1_000)
        offsets[partition] += 1
        log.append((event, src))
        more = () if job.source is EVENTS_RAW else ((SOURCE, src.pack()),)
        record = raw_record(0, event, *more)
        if job.source is EVENTS_ALERT:
            key = event.site_id.encode()
            partition = partition_of(key, PARTITIONS)
        partitions[partition].append((key, record.value or b"", record.headers))
    return Backlog(partitions, job.expected(log))


def _is_read(event: RawEvent, source: Topic) -> bool:
    return source is EVENTS_RAW or source in EVENT_TYPES[event.type].routes
