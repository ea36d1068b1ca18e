"""Scaling from one worker on one core to two workers on two, and with the number of partitions.

The broker and the load generator are pinned to the cores of the workers. Their work per event is
constant, so that two workers have twice the resources of one.
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

from benchmarks import scaled_roles
from benchmarks.backlog import (
    Record,
    batch_producer,
    make_batches,
    partition_of,
    recreate_topics,
    send_batches,
)
from benchmarks.events import distinct
from benchmarks.measure import Candidate, Measurement, Workload
from benchmarks.pinning import all_cores, pin
from benchmarks.process import ROOT
from headrace.local.broker.local_kafka import LocalKafka
from schemas.event_types import EVENT_TYPES
from schemas.plurals import counted
from schemas.topics import EVENTS_RAW, EVENTS_SESSION
from tests.component.streams.bench import raw_record

TITLE = "Scale: one and two workers of a role"
#: The number of workers, which is also the number of cores, and the number of partitions.
_VARIANTS = ((1, 12), (2, 12), (1, 4), (1, 48))
_EVENTS = 80_000
_READY_SECONDS, _DONE_SECONDS = 60, 120


@cache
def _backlog(partitions: int) -> tuple[list[list[Record]], int]:
    """Return the records of each partition, and how many are routed to events-session."""
    by_partition: list[list[Record]] = [[] for _ in range(partitions)]
    routed = 0
    for event in distinct(_EVENTS):
        record = raw_record(0, event)
        assert record.key is not None
        assert record.value is not None
        partition = partition_of(record.key, partitions)
        by_partition[partition].append((record.key, record.value, record.headers))
        routed += EVENTS_SESSION in EVENT_TYPES[event.type].routes
    return by_partition, routed


class _PinnedWorker:
    """A worker process, with its last report."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.owned = self.done = self.fetches = 0
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line.startswith(b"{"):
                report = json.loads(line)
                self.owned, self.done = report["owned"], report["done"]
                self.fetches = report["fetches"]

    async def end(self) -> None:
        """Kill the process."""
        self.process.kill()
        await self.process.wait()
        await self._reading


async def _until(
    condition: Callable[[], bool], workers: Sequence[_PinnedWorker], seconds: float
) -> None:
    """Wait until a condition on the workers' reports is true."""
    async with asyncio.timeout(seconds):
        while not condition():
            if any(worker.process.returncode is not None for worker in workers):
                raise RuntimeError("a worker exited")
            await asyncio.sleep(0.02)


async def _started(kafka: str, cores: Sequence[int], partitions: int) -> list[_PinnedWorker]:
    """Start a worker on each core, and wait until each has its share of the partitions."""
    arguments = (kafka, f"bench-{uuid4().hex}", str(partitions))
    pinned = []
    for core in cores:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.scaled_worker", *arguments, str(core)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        pinned.append(_PinnedWorker(process))
    shares = [partitions // len(cores)] * len(cores)
    await _until(lambda: [worker.owned for worker in pinned] == shares, pinned, _READY_SECONDS)
    return pinned


async def _run(kafka: LocalKafka, workers: int, partitions: int) -> Measurement:
    """Send a backlog to running workers, and measure how long they take."""
    await recreate_topics(kafka.bootstrap, partitions)
    by_partition, routed = _backlog(partitions)
    cores = all_cores()[:workers]
    pinned = await _started(kafka.bootstrap, cores, partitions)
    for pid in (os.getpid(), kafka.process.pid):
        pin(pid, cores)
    try:
        async with batch_producer(kafka.bootstrap) as producer:
            batches = [list(make_batches(producer, records)) for records in by_partition]
            usage = _CpuUsage(kafka, pinned)
            for partition, filled in enumerate(batches):
                await send_batches(producer, EVENTS_RAW.name, partition, filled)
            await _until(
                lambda: sum(worker.done for worker in pinned) >= routed, pinned, _DONE_SECONDS
            )
            return usage.until_now(_EVENTS + routed)
    finally:
        for pid in (os.getpid(), kafka.process.pid):
            pin(pid, all_cores())
        for worker in pinned:
            await worker.end()


class _CpuUsage:
    """The CPU usage of workers and broker since the object was created."""

    def __init__(self, kafka: LocalKafka, workers: Sequence[_PinnedWorker]) -> None:
        self._workers = workers
        self._pids = (kafka.process.pid, *(worker.process.pid for worker in workers))
        self._started_at, self._before = time.perf_counter(), self._cpu_seconds()

    def until_now(self, records: int) -> Measurement:
        """Return the measurement; `records` is the number of records in both topics."""
        seconds = time.perf_counter() - self._started_at
        (broker, *workers) = (
            now - before for now, before in zip(self._cpu_seconds(), self._before, strict=True)
        )
        figures = {
            "cores busy": (broker + sum(workers)) / seconds,
            "CPU µs of Kafka": broker / _EVENTS * 1e6,
            "records per fetch": records / sum(worker.fetches for worker in self._workers),
        }
        return Measurement(_EVENTS, seconds, sum(workers), figures=figures)

    def _cpu_seconds(self) -> list[float]:
        times = [psutil.Process(pid).cpu_times() for pid in self._pids]
        return [float(cpu.user + cpu.system) for cpu in times]


@asynccontextmanager
async def workloads() -> AsyncIterator[list[Workload]]:
    """Yield the workloads of this benchmark."""
    with TemporaryDirectory() as folder, LocalKafka(Path(folder)) as kafka:
        yield [
            Workload(
                "route_events and sessionize",
                [
                    Candidate(
                        f"{counted(workers, 'worker')} on {counted(workers, 'core')}, "
                        f"{partitions} partitions",
                        partial(_run, kafka, workers, partitions),
                    )
                    for workers, partitions in _VARIANTS
                    if workers <= len(all_cores())
                ],
                chart_column="events per second",
                warms_up=False,
            ),
            *scaled_roles.workloads(kafka),
        ]
