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
from benchmarks.measure import Candidate, Measurement, Workload
from benchmarks.progress import Progress

TITLE = "HTTP to SQL (SQLite), all on one machine"
_RATES = (2_000, 6_000, 8_000, 10_000)
_SECONDS = 8
_BATCH = 100
_CONNECTIONS = 16
_numbers = count()


def _bodies(batches: int) -> list[bytes]:
    """Return batches of distinct events."""
    return [
        msgspec.json.encode([numbered_event(number) for number in islice(_numbers, _BATCH)])
        for _ in range(batches)
    ]


async def _run(loaded: LoadedStack, progress: Progress, rate: int) -> Measurement:
    bodies = await asyncio.to_thread(_bodies, _SECONDS * rate // _BATCH)
    stored = _stored_bytes(loaded.stack.data_dir)
    load_cpu, before = time.process_time(), loaded.cpu_seconds("kafka")
    started_at, times = await loaded.send(bodies, _BATCH, rate, _CONNECTIONS)
    load_cpu = time.process_time() - load_cpu
    await progress.until_done()
    done = asyncio.get_running_loop().time()
    after, events = loaded.cpu_seconds("kafka"), len(bodies) * _BATCH
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


def _stored_bytes(data_dir: Path) -> dict[str, int]:
    stores = {"Kafka": (data_dir / "kafka").rglob("*.log"), "SQLite": data_dir.glob("*.db*")}
    return {name: sum(file.stat().st_size for file in files) for name, files in stores.items()}


@asynccontextmanager
async def workloads() -> AsyncIterator[list[Workload]]:
    """Yield the workloads of this benchmark."""
    async with loaded_stack() as loaded, Progress(loaded.stack) as progress:
        await _run(loaded, progress, _RATES[0])
        rates = [
            Candidate(f"{rate:,} events/s", partial(_run, loaded, progress, rate))
            for rate in _RATES
        ]
        yield [Workload("Batches of 100", rates, warms_up=False)]
