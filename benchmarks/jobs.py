"""What each agent is given to do, as records and as what must come of them."""

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
from streams.domain.fingerprints import fingerprint
from tests import reference
from tests.component.streams.bench import raw_record

PARTITIONS = 4


class Job(NamedTuple):
    """What an agent reads and writes; `expected` is what its results must come to."""

    source: Topic
    events: int
    results: Results
    expected: Callable[[reference.Log], int]


def _routed(log: reference.Log) -> int:
    return sum(len(EVENT_TYPES[event.type].routes) for event, _ in log)


def _left(log: reference.Log) -> int:
    return sum(row["leaves"] for row in reference.page_durations(log).values())


def _events_of_session(value: bytes) -> int:
    return sum(visit.events for visit in decode(value, SessionState).visits)


def _events_of_counters(value: bytes) -> int:
    """Of the last 30 minutes, which is more than a backlog spans."""
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
        _left,
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
    """The records of each partition, and what must come of them."""

    places: list[list[Record]]
    expected: int


@cache
def backlog(agent: str, events: int) -> Backlog:
    """Return what an agent is to do of so many events."""
    job = JOBS[agent]
    places: list[list[Record]] = [[] for _ in range(PARTITIONS)]
    offsets: defaultdict[int, int] = defaultdict(int)
    log: list[tuple[RawEvent, Source]] = []
    for event in distinct(events, lambda event: _is_read(event, job.source)):
        by_session = f"{event.site_id}:{event.session_id}".encode()
        place = partition_of(by_session, PARTITIONS)
        src = Source(place, offsets[place], event.event_ts // 1_000)
        offsets[place] += 1
        log.append((event, src))
        more = () if job.source is EVENTS_RAW else ((SOURCE, src.pack()),)
        record = raw_record(0, event, *more)
        key = by_session
        if job.source is EVENTS_ALERT:
            key = event.site_id.encode()
            place = partition_of(key, PARTITIONS)
        places[place].append((key, record.value or b"", record.headers))
    return Backlog(places, job.expected(log))


def _is_read(event: RawEvent, source: Topic) -> bool:
    return source is EVENTS_RAW or source in EVENT_TYPES[event.type].routes
