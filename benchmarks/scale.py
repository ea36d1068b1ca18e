"""One worker on one core and two on two, and how many partitions they share.

The broker and the load are held to the cores of the workers: they have a share of each, for they
work as much for each event. So twice the workers have twice the machine, which they would not
where one of two cores was the broker's before.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import psutil

from benchmarks.backlog import Record, batches, partition_of, renew_topics, send, sender
from benchmarks.events import distinct
from benchmarks.measure import Candidate, Spent, Work
from benchmarks.process import ROOT
from infra.broker.local_kafka import LocalKafka
from schemas.event_types import EVENT_TYPES
from schemas.topics import EVENTS_RAW, EVENTS_SESSION
from tests.component.streams.bench import raw_record

TITLE = "Scale: from events-raw to sessions, by workers and partitions"
#: Workers, which are as many as cores, and partitions.
_SHARED = ((1, 12), (2, 12), (1, 4), (1, 48))
_EVENTS = 80_000
_READY_SECONDS, _DONE_SECONDS = 60, 120


@cache
def _backlog(partitions: int) -> tuple[list[list[Record]], int]:
    """Return the records of each partition, and how many of them go on to events-session."""
    places: list[list[Record]] = [[] for _ in range(partitions)]
    passed = 0
    for event in distinct(_EVENTS):
        record = raw_record(0, event)
        assert record.key is not None
        assert record.value is not None
        place = partition_of(record.key, partitions)
        places[place].append((record.key, record.value, record.headers))
        passed += EVENTS_SESSION in EVENT_TYPES[event.type].routes
    return places, passed


class _Pinned:
    """A worker process, and what it told last."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.owned = self.done = self.fetches = 0
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line.startswith(b"{"):
                told = json.loads(line)
                self.owned, self.done = told["owned"], told["done"]
                self.fetches = told["fetches"]

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


async def _started(kafka: str, cores: Sequence[int], partitions: int) -> list[_Pinned]:
    """Start a worker on each core, and wait until they share the partitions."""
    arguments = (kafka, f"bench-{uuid4().hex}", str(partitions))
    pinned = []
    for core in cores:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.scaled_worker", *arguments, str(core)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        pinned.append(_Pinned(process))
    shares = [partitions // len(cores)] * len(cores)
    await _until(lambda: [one.owned for one in pinned] == shares, pinned, _READY_SECONDS)
    return pinned


async def _run(kafka: LocalKafka, workers: int, partitions: int) -> Spent:
    """Give workers that wait for it a backlog, and time how long they have of it."""
    await renew_topics(kafka.bootstrap, partitions)
    places, passed = _backlog(partitions)
    cores = _all_cores()[:workers]
    pinned = await _started(kafka.bootstrap, cores, partitions)
    for pid in (os.getpid(), kafka.process.pid):
        _hold(pid, cores)
    try:
        async with sender(kafka.bootstrap) as producer:
            filled = [list(batches(producer, records)) for records in places]
            spent = _Spending(kafka, pinned)
            for partition, some in enumerate(filled):
                await send(producer, EVENTS_RAW.name, partition, some)
            await _until(lambda: sum(one.done for one in pinned) >= passed, pinned, _DONE_SECONDS)
            return spent.until_now(_EVENTS + passed)
    finally:
        for pid in (os.getpid(), kafka.process.pid):
            _hold(pid, _all_cores())
        for worker in pinned:
            await worker.end()


@cache
def _all_cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def _hold(pid: int, cores: Sequence[int]) -> None:
    """Hold a process to some cores: each of its threads, and so those that they start."""
    for thread in psutil.Process(pid).threads():
        os.sched_setaffinity(thread.id, cores)


class _Spending:
    """What workers and broker spend from now on."""

    def __init__(self, kafka: LocalKafka, workers: Sequence[_Pinned]) -> None:
        self._workers = workers
        self._pids = (kafka.process.pid, *(worker.process.pid for worker in workers))
        self._began, self._before = time.perf_counter(), self._cpu_seconds()

    def until_now(self, records: int) -> Spent:
        """Return what was spent, on so many records of both topics."""
        seconds = time.perf_counter() - self._began
        (broker, *workers) = (
            now - before for now, before in zip(self._cpu_seconds(), self._before, strict=True)
        )
        figures = {
            "cores busy": (broker + sum(workers)) / seconds,
            "CPU µs of Kafka": broker / _EVENTS * 1e6,
            "records a fetch": records / sum(worker.fetches for worker in self._workers),
        }
        return Spent(_EVENTS, seconds, sum(workers), figures=figures)

    def _cpu_seconds(self) -> list[float]:
        times = [psutil.Process(pid).cpu_times() for pid in self._pids]
        return [float(one.user + one.system) for one in times]


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


@asynccontextmanager
async def works() -> AsyncIterator[list[Work]]:
    """Give the works of this benchmark."""
    with TemporaryDirectory() as folder, LocalKafka(Path(folder)) as kafka:
        yield [
            Work(
                "route_events and sessionize",
                [
                    Candidate(
                        f"{_many(workers, 'worker')} on {_many(workers, 'core')}, "
                        f"{partitions} partitions",
                        partial(_run, kafka, workers, partitions),
                    )
                    for workers, partitions in _SHARED
                    if workers <= len(_all_cores())
                ],
                shown="events per second",
                warms_up=False,
            )
        ]
