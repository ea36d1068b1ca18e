"""Measures the memory and CPU of many live sessions: `python -m benchmarks.live_sessions SESSIONS`.

A worker restores a table of SESSIONS sessions and then processes events: four of five belong to a
live session, and the fifth starts a new one. Time advances so that a session closes whenever a new
one starts.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from random import Random
from typing import Any

import psutil
from msgspec.structs import replace

from benchmarks.events import events
from schemas.codec import encode
from schemas.headers import Source
from schemas.records import SessionState
from streams.agents import sessionize
from streams.domain.sessions import rules as sessions
from streams.domain.sessions.rules import SessionRules
from streams.engine.changelog_headers import version_header
from tests.component.streams.bench import Bench, InRecord, NotingProducer, routed
from tests.unit.streams.samples import NOON_MS

RULES = SessionRules.of_seconds(1_800, 300, 90_000)
_EVENTS, _EVENTS_PER_NEW_SESSION = 20_000, 5
#: A worker stores up to 250,000 sessions per partition.
_PARTITIONS = 8
_BATCH = 500
_TEMPLATES = 10_000


class _DiscardingProducer(NotingProducer):
    async def send(self, *_: object) -> int:
        """Discard the records."""
        return 0


def _templates() -> list[SessionState]:
    """Return the states of sessions of the demo's shop."""
    states: dict[tuple[str, str], SessionState] = {}
    for offset, event in enumerate(events(_TEMPLATES)):
        key = (event.site_id, event.session_id)
        states[key] = sessions.apply(states.get(key), event, Source(0, offset, NOON_MS), RULES)
    return list(states.values())


def _changelog(live: int, templates: Sequence[SessionState], partition: int) -> Iterator[InRecord]:
    """Yield the states of a partition, whose last events are evenly spread over time until now."""
    for number in range(partition, live, _PARTITIONS):
        state = templates[number % len(templates)]
        last_ms = NOON_MS - (live - number) * RULES.close_after_ms // live
        (visit, *_) = state.visits
        visit = replace(
            visit,
            started_at=last_ms * 1_000 - (visit.ended_at - visit.started_at),
            ended_at=last_ms * 1_000,
            last_log_ms=last_ms,
        )
        state = replace(state, session_id=_name(number), src_offset=number, visits=[visit])
        key = f"{state.site_id}:{state.session_id}".encode()
        yield InRecord(number, key, encode(state), version_header(number), partition)


def _batches(live: int, templates: Sequence[SessionState]) -> Iterator[list[InRecord]]:
    """Yield batches of routed events of live sessions and of new ones."""
    random = Random(live)  # noqa: S311 - a choice, not a secret
    sample = events(_EVENTS)
    for start in range(0, _EVENTS, _BATCH):
        partition, batch = start // _BATCH % _PARTITIONS, []
        for number in range(start, start + _BATCH):
            session, site = live + number, sample[number].site_id
            if number % _EVENTS_PER_NEW_SESSION:
                session = random.randrange(live // _PARTITIONS) * _PARTITIONS + partition
                site = templates[session % len(templates)].site_id
            log_ms = NOON_MS + RULES.close_after_ms * number // (live * _EVENTS_PER_NEW_SESSION)
            fields = {"site_id": site, "session_id": _name(session), "event_ts": log_ms * 1_000}
            event = replace(sample[number], **fields)
            batch.append(routed(live + number, event, log_ms, partition))
        yield batch


def _name(session: int) -> str:
    return f"{session:08x}-0000-4000-8000-{session:012x}"  # as long as a UUID


def _resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


async def main(live: int) -> None:
    """Recover the table, process the events, and print the measurement as JSON."""
    templates = _templates()
    bench: Any = Bench(partial(sessionize.register, rules=RULES))
    bench.noted = _DiscardingProducer()
    (table,) = bench.one.tables
    batches = list(_batches(live, templates))
    records = list(_changelog(_BATCH * _PARTITIONS, templates, 0))
    sizes = [sys.getsizeof(record.key) + sys.getsizeof(record.value) for record in records]
    size = sum(sizes) / len(sizes)
    empty = _resident()
    for partition in range(_PARTITIONS):
        states = _changelog(live, templates, partition)
        while fetched := list(islice(states, _BATCH)):
            table.of(partition).recover(fetched)
    recovering = _resident()
    for partition in range(_PARTITIONS):
        table.end_recovery(partition, live)
    recovered = _resident()
    for partition in range(_PARTITIONS):
        await bench.assign(partition)
    assigned = _resident()
    started_at, cpu = time.perf_counter(), time.process_time()
    for batch in batches:
        await bench.run_batch(*batch)
    spent = {"seconds": time.perf_counter() - started_at, "cpu_seconds": time.process_time() - cpu}
    figures = {
        "bytes per session": (assigned - empty) / live,
        "of which key and value": size,
        "of which table": (recovered - empty) / live - size,
        "of which deadlines": (assigned - recovered) / live,
        "during recovery": (recovering - empty) / live,
    }
    print(json.dumps({"events": _EVENTS, **spent, "figures": figures}), flush=True)


if __name__ == "__main__":
    gc.set_threshold(50_000, 20, 100)  # as roles do
    asyncio.run(main(int(sys.argv[1])))
