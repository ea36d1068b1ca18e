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
from types import SimpleNamespace
from typing import Any

import psutil
from faust.types import TP
from msgspec.structs import replace

from benchmarks.events import events
from schemas.codec import encode
from schemas.headers import Source
from schemas.records import RawEvent, SessionState
from schemas.topics import SESSIONS
from streams.agents import sessionize
from streams.domain import sessions
from streams.domain.sessions import SessionRules
from streams.engine.table import version_header
from tests.component.streams.bench import Bench, InRecord, NotingProducer, routed
from tests.unit.streams.samples import NOON_MS

RULES = SessionRules.of_seconds(1_800, 300, 90_000)
_EVENTS, _A_NEW_SESSION_EVERY = 20_000, 5
_BATCH = 500
_TEMPLATES = 10_000


class _Forgetting(NotingProducer):
    async def send(self, *_: object) -> None:
        """Send nowhere."""


def _templates() -> list[SessionState]:
    """Return sessions of the demo's shop, each as its events so far have made it."""
    made: dict[tuple[str, str], SessionState] = {}
    for offset, event in enumerate(events(_TEMPLATES)):
        key = (event.site_id, event.session_id)
        made[key] = sessions.apply(made.get(key), event, Source(0, offset, NOON_MS), RULES)
    return list(made.values())


def _changelog(living: int, templates: Sequence[SessionState]) -> Iterator[InRecord]:
    """Yield the states, whose last events were one after the other until now."""
    for number in range(living):
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
        yield InRecord(number, key, encode(state), version_header(number))


def _records(living: int, templates: Sequence[SessionState]) -> Iterator[InRecord]:
    """Yield events as the router passes them on, of any of the sessions and of new ones."""
    random = Random(living)  # noqa: S311 - a choice, not a secret
    for number, event in enumerate(islice(events(_TEMPLATES * 2), _EVENTS)):
        passed = RULES.close_after_ms * number // (living * _A_NEW_SESSION_EVERY)
        is_new = number % _A_NEW_SESSION_EVERY == 0
        session = living + number if is_new else random.randrange(living)
        site = event.site_id if is_new else templates[session % len(templates)].site_id
        log_ms = NOON_MS + passed
        yield routed(living + number, _of_session(event, site, session, log_ms), log_ms)


def _of_session(event: RawEvent, site: str, session: int, log_ms: int) -> RawEvent:
    return replace(event, site_id=site, session_id=_name(session), event_ts=log_ms * 1_000)


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
    (table,) = bench.tables
    batches = list(_in_batches(_records(living, templates), _BATCH))
    some = list(_changelog(_BATCH, templates))
    size = sum(sys.getsizeof(one.key) + sys.getsizeof(one.value) for one in some) / len(some)
    empty = _resident()
    for fetched in _in_batches(_changelog(living, templates), _BATCH):
        table.apply_changelog_batch([SimpleNamespace(value=fetched)])
    recovering = _resident()
    await table.on_recovery_completed({TP(SESSIONS.name, 0)}, set())
    recovered = _resident()
    await bench.assign()
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


def _in_batches(records: Iterator[InRecord], size: int) -> Iterator[list[InRecord]]:
    while batch := list(islice(records, size)):
        yield batch


if __name__ == "__main__":
    gc.set_threshold(50_000, 20, 100)  # as roles do
    asyncio.run(main(int(sys.argv[1])))
