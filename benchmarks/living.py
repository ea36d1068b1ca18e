"""What a state of so many living sessions takes: `python -m benchmarks.living SESSIONS`.

A worker that begins with them: it recovers its table, opens its book, and goes on with events,
four of five of a session that lives, the fifth of a new one. Time passes as fast as lets one
session close for each that begins.
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
from streams.domain import sessions
from streams.domain.sessions import SessionRules
from streams.engine.changelog_headers import version_header
from tests.component.streams.bench import Bench, InRecord, NotingProducer, routed
from tests.unit.streams.samples import NOON_MS

RULES = SessionRules.of_seconds(1_800, 300, 90_000)
_EVENTS, _A_NEW_SESSION_EVERY = 20_000, 5
#: A worker keeps 250,000 sessions of each.
_PARTITIONS = 8
_BATCH = 500
_TEMPLATES = 10_000


class _Forgetting(NotingProducer):
    async def send(self, *_: object) -> int:
        """Send nowhere."""
        return 0


def _templates() -> list[SessionState]:
    """Return sessions of the demo's shop, each as its events so far have made it."""
    made: dict[tuple[str, str], SessionState] = {}
    for offset, event in enumerate(events(_TEMPLATES)):
        key = (event.site_id, event.session_id)
        made[key] = sessions.apply(made.get(key), event, Source(0, offset, NOON_MS), RULES)
    return list(made.values())


def _changelog(
    living: int, templates: Sequence[SessionState], partition: int
) -> Iterator[InRecord]:
    """Yield a partition's states, whose last events were one after the other until now."""
    for number in range(partition, living, _PARTITIONS):
        state = templates[number % len(templates)]
        last_ms = NOON_MS - (living - number) * RULES.close_after_ms // living
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


def _batches(living: int, templates: Sequence[SessionState]) -> Iterator[list[InRecord]]:
    """Yield events as the router passes them on, of any of the sessions and of new ones."""
    random = Random(living)  # noqa: S311 - a choice, not a secret
    some = events(_EVENTS)
    for begin in range(0, _EVENTS, _BATCH):
        partition, batch = begin // _BATCH % _PARTITIONS, []
        for number in range(begin, begin + _BATCH):
            session, site = living + number, some[number].site_id
            if number % _A_NEW_SESSION_EVERY:
                session = random.randrange(living // _PARTITIONS) * _PARTITIONS + partition
                site = templates[session % len(templates)].site_id
            log_ms = NOON_MS + RULES.close_after_ms * number // (living * _A_NEW_SESSION_EVERY)
            fields = {"site_id": site, "session_id": _name(session), "event_ts": log_ms * 1_000}
            event = replace(some[number], **fields)
            batch.append(routed(living + number, event, log_ms, partition))
        yield batch


def _name(session: int) -> str:
    return f"{session:08x}-0000-4000-8000-{session:012x}"  # as long as a UUID


def _resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


async def main(living: int) -> None:
    """Recover, open, go on, and tell what each took."""
    templates = _templates()
    bench: Any = Bench(partial(sessionize.register, rules=RULES))
    bench.noted = _Forgetting()
    (table,) = bench.one.tables
    batches = list(_batches(living, templates))
    some = list(_changelog(_BATCH * _PARTITIONS, templates, 0))
    size = sum(sys.getsizeof(one.key) + sys.getsizeof(one.value) for one in some) / len(some)
    empty = _resident()
    for partition in range(_PARTITIONS):
        states = _changelog(living, templates, partition)
        while fetched := list(islice(states, _BATCH)):
            table.of(partition).recover(fetched)
    recovering = _resident()
    for partition in range(_PARTITIONS):
        table.end_recovery(partition, living)
    recovered = _resident()
    for partition in range(_PARTITIONS):
        await bench.assign(partition)
    opened = _resident()
    began, cpu = time.perf_counter(), time.process_time()
    for batch in batches:
        await bench.run_batch(*batch)
    spent = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}
    figures = {
        "bytes a session": (opened - empty) / living,
        "of them key and value": size,
        "table": (recovered - empty) / living - size,
        "deadlines": (opened - recovered) / living,
        "while it is recovered": (recovering - empty) / living,
    }
    print(json.dumps({"events": _EVENTS, **spent, "figures": figures}), flush=True)


if __name__ == "__main__":
    gc.set_threshold(50_000, 20, 100)  # as roles do
    asyncio.run(main(int(sys.argv[1])))
