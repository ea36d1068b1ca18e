"""HTTP to SQL: the rates that the whole pipeline sustains, with the CPU time of each role.

A rate is sustained if all events are processed and stored in SQL within two seconds of the last
202; one second of this is the commit interval of `streams`.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count, islice
from pathlib import Path

import msgspec

from benchmarks.events import numbered_event
from benchmarks.loaded import LoadedStack, loaded_stack
from benchmarks.measure import Candidate, Figures, Measurement, Workload
from benchmarks.progress import Progress

TITLE = "HTTP to SQL (SQLite), all on one machine"
_RATES = (2_000, 4_000, 6_000, 8_000, 10_000)
_SINGLE_RATES = (30, 200)
_SECONDS = 8
_BATCH = 100
#: At rest: until commits and live counters of the last events are done, and the measurement.
_SETTLE_SECONDS = 10
_REST_SECONDS = 30
_CONNECTIONS = 16
_numbers = count()


def _bodies(requests: int, batch: int) -> list[bytes]:
    """Return requests of distinct events; single events if `batch` is 1."""
    events = [list(map(numbered_event, islice(_numbers, batch))) for _ in range(requests)]
    return [msgspec.json.encode(several if batch > 1 else several[0]) for several in events]


async def _run(loaded: LoadedStack, progress: Progress, rate: int, batch: int) -> Measurement:
    bodies = await asyncio.to_thread(_bodies, _SECONDS * rate // batch, batch)
    stored = _stored_bytes(loaded.stack.data_dir)
    load_cpu, before = time.process_time(), loaded.cpu_seconds("kafka")
    started_at, times = await loaded.send(bodies, batch, rate, _CONNECTIONS)
    load_cpu = time.process_time() - load_cpu
    await progress.until_done()
    done = asyncio.get_running_loop().time()
    after, events = loaded.cpu_seconds("kafka"), len(bodies) * batch
    shares = {role: (after[role] - before[role]) / events * 1e6 for role in after}
    figures = {
        "s until all is processed": done - max(times),
        **{f"{role}, µs": share for role, share in shares.items()},
        "load generator, µs": load_cpu / events * 1e6,
        **{
            f"{store}, bytes": (size - stored[store]) / events
            for store, size in _stored_bytes(loaded.stack.data_dir).items()
        },
    }
    cpu = sum(share for role, share in shares.items() if role != "kafka") * events / 1e6
    return Measurement(events, max(times) - started_at, cpu, figures=figures)


async def _rest(loaded: LoadedStack) -> Figures:
    """Return the CPU time of each process without events, in percent of a core."""
    await asyncio.sleep(_SETTLE_SECONDS)
    started_at, before = time.perf_counter(), loaded.cpu_seconds("kafka")
    await asyncio.sleep(_REST_SECONDS)
    after, seconds = loaded.cpu_seconds("kafka"), time.perf_counter() - started_at
    shares = {role: (after[role] - before[role]) / seconds * 100 for role in after}
    return {"% of a core": sum(shares.values()), **{f"{one}, %": shares[one] for one in shares}}


def _stored_bytes(data_dir: Path) -> dict[str, int]:
    stores = {"Kafka": (data_dir / "kafka").rglob("*.log"), "SQLite": data_dir.glob("*.db*")}
    return {name: sum(file.stat().st_size for file in files) for name, files in stores.items()}


@asynccontextmanager
async def workloads() -> AsyncIterator[list[Workload]]:
    """Yield the workloads of this benchmark."""
    async with loaded_stack() as loaded, Progress(loaded.stack) as progress:
        await _run(loaded, progress, _RATES[0], _BATCH)

        def at(rate: int, batch: int) -> Candidate:
            return Candidate(f"{rate:,} events/s", partial(_run, loaded, progress, rate, batch))

        yield [
            Workload("Batches of 100", [at(rate, _BATCH) for rate in _RATES], warms_up=False),
            Workload("Single events", [at(rate, 1) for rate in _SINGLE_RATES], warms_up=False),
            Workload("At rest", [Candidate("all", partial(_rest, loaded))], warms_up=False),
        ]
