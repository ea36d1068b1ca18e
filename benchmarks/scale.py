"""One worker and two, each on a core of its own, and how many partitions they share.

The broker has no core of its own on a machine of two: what it needs, workers lack.
"""

import asyncio
import json
import subprocess
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import psutil
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.partitioner import murmur2
from msgspec.structs import replace

from benchmarks.backlog import Record, batches, send, sender
from benchmarks.events import events
from benchmarks.measure import Candidate, Spent, Work
from benchmarks.process import ROOT
from infra.broker.local_kafka import LocalKafka
from infra.topics import create_topics
from schemas.event_types import EVENT_TYPES
from schemas.settings import KafkaSettings
from schemas.topics import EVENTS_RAW, EVENTS_SESSION, TOPICS
from tests.component.streams.bench import raw_record

TITLE = "Scale: from events-raw to sessions, by workers and partitions"
#: Workers and partitions.
_SHARED = ((1, 12), (2, 12), (1, 4), (1, 48))
_EVENTS, _DIFFERENT = 100_000, 20_000
_READY_SECONDS, _DONE_SECONDS = 60, 120


@cache
def _backlog(partitions: int) -> tuple[list[list[Record]], int]:
    """Return the records of each partition, and how many of them go on to events-session."""
    places: list[list[Record]] = [[] for _ in range(partitions)]
    passed = 0
    for number in range(_EVENTS):
        event = events(_DIFFERENT)[number % _DIFFERENT]
        name = f"{event.session_id[:-1]}{number // _DIFFERENT}"
        event = replace(event, session_id=name, event_id=str(UUID(int=number, version=4)))
        record = raw_record(number, event)
        assert record.key is not None
        assert record.value is not None
        place = (murmur2(record.key) & 0x7FFFFFFF) % partitions
        places[place].append((record.key, record.value, record.headers))
        passed += EVENTS_SESSION in EVENT_TYPES[event.type].routes
    return places, passed


class _Pinned:
    """A worker process, and what it told last."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.owned = self.done = 0
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line.startswith(b"{"):
                told = json.loads(line)
                self.owned, self.done = told["owned"], told["done"]

    async def end(self) -> None:
        """Kill it: what was to be measured is over."""
        self.process.kill()
        await self.process.wait()
        await self._reading


async def _until(what: Callable[[], bool], workers: Sequence[_Pinned], seconds: float) -> None:
    """Wait until what the workers told is so."""
    async with asyncio.timeout(seconds):
        while not what():
            if any(worker.process.returncode is not None for worker in workers):
                raise RuntimeError("a worker ended by itself")
            await asyncio.sleep(0.02)


async def _started(kafka: str, workers: int, partitions: int) -> list[_Pinned]:
    """Start workers, each on a core of its own, and wait until they share the partitions."""
    cores = psutil.Process().cpu_affinity() or [0]
    arguments = (kafka, f"bench-{uuid4().hex}", str(partitions))
    pinned = []
    for number in range(workers):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.scaled_worker", *arguments),
            str(cores[number % len(cores)]),
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        pinned.append(_Pinned(process))
    shares = [partitions // workers] * workers
    await _until(lambda: [one.owned for one in pinned] == shares, pinned, _READY_SECONDS)
    return pinned


async def _run(kafka: LocalKafka, workers: int, partitions: int) -> Spent:
    """Give workers that wait for it a backlog, and time how long they have of it."""
    await _renew_topics(kafka.bootstrap, partitions)
    places, passed = _backlog(partitions)
    pinned = await _started(kafka.bootstrap, workers, partitions)
    try:
        async with sender(kafka.bootstrap) as producer:
            filled = [list(batches(producer, records)) for records in places]
            spent = _Spending(kafka, pinned)
            for partition, some in enumerate(filled):
                await send(producer, EVENTS_RAW.name, partition, some)
            await _until(lambda: sum(one.done for one in pinned) >= passed, pinned, _DONE_SECONDS)
            return spent.until_now()
    finally:
        for worker in pinned:
            await worker.end()


class _Spending:
    """What workers and broker spend from now on."""

    def __init__(self, kafka: LocalKafka, workers: Sequence[_Pinned]) -> None:
        self._pids = (kafka.process.pid, *(worker.process.pid for worker in workers))
        self._began, self._before = time.perf_counter(), self._cpu_seconds()

    def until_now(self) -> Spent:
        """Return what was spent."""
        seconds = time.perf_counter() - self._began
        (broker, *workers) = (
            now - before for now, before in zip(self._cpu_seconds(), self._before, strict=True)
        )
        figures = {"CPU µs of Kafka": broker / _EVENTS * 1e6}
        return Spent(_EVENTS, seconds, sum(workers), figures=figures)

    def _cpu_seconds(self) -> list[float]:
        times = [psutil.Process(pid).cpu_times() for pid in self._pids]
        return [float(one.user + one.system) for one in times]


async def _renew_topics(kafka: str, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_topics([topic.name for topic in TOPICS])
    finally:
        await admin.close()
    await create_topics(KafkaSettings(bootstrap_servers=kafka, partitions=partitions))


@asynccontextmanager
async def works() -> AsyncIterator[list[Work]]:
    """Give the works of this benchmark."""
    with TemporaryDirectory() as folder, LocalKafka(Path(folder)) as kafka:
        yield [
            Work(
                "route_events and sessionize",
                [
                    Candidate(
                        f"{workers} worker{'s' * (workers > 1)}, {partitions} partitions",
                        partial(_run, kafka, workers, partitions),
                    )
                    for workers, partitions in _SHARED
                ],
                warms_up=False,
            )
        ]
