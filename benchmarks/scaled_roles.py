"""The roles `sinks` and `web` with one worker on one core, and two workers on two.

The broker, PostgreSQL and the load generator share the cores of the workers.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil
from sqlalchemy import func, select

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
from benchmarks.pinning import all_cores, pin, pinned
from headrace.local.broker.local_kafka import LocalKafka
from headrace.local.broker.ports import free_port
from headrace.local.workers import worker_names
from headrace.roles.status import why_not_ready
from schemas.plurals import counted
from schemas.topics import EVENTS_RAW
from sinks.sql.migrate import upgrade
from sinks.sql.reader import open_reader
from sinks.sql.tables import ConsumerOffsetRow, table_of
from tests.component.streams.bench import raw_record
from tests.fixtures.postgres import LocalPostgres
from tests.fixtures.waiting import eventually

_PARTITIONS = 12
_EVENTS = 60_000
_READY_SECONDS, _DONE_SECONDS, _LOAD_SECONDS = 60, 180, 5
_CONNECTIONS, _EVENTS_PER_REQUEST = 64, 100
_OFFSETS = table_of(ConsumerOffsetRow).c


def workloads(kafka: LocalKafka) -> list[Workload]:
    """Return the workloads, with as many workers as there are cores for."""
    runs = {
        "store_events into PostgreSQL": _run_sinks,
        f"web, {_EVENTS_PER_REQUEST} events per request": _run_web,
    }
    return [
        Workload(
            name,
            [
                Candidate(
                    f"{counted(workers, 'worker')} on {counted(workers, 'core')}",
                    partial(run, kafka, workers),
                )
                for workers in (1, 2)
                if workers <= len(all_cores())
            ],
            chart_column="events per second",
            warms_up=False,
        )
        for name, run in runs.items()
    ]


async def _run_sinks(kafka: LocalKafka, workers: int) -> Measurement:
    """Send a backlog to running sinks, and measure how long they take."""
    cores = all_cores()[:workers]
    await recreate_topics(kafka.bootstrap, _PARTITIONS)
    with ExitStack() as stack:
        stack.enter_context(pinned((os.getpid(), kafka.process.pid), cores))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        url = stack.enter_context(LocalPostgres()).url
        await asyncio.to_thread(upgrade, url)
        names = worker_names("sinks", workers)
        commands = [["sinks", "--status-file", str(folder / f"{name}.json")] for name in names]
        pids = stack.enter_context(_roles(kafka, commands, DATABASE__URL=url))
        await asyncio.to_thread(
            eventually,
            lambda: all(why_not_ready(folder / f"{name}.json") is None for name in names),
            within_seconds=_READY_SECONDS,
            what="the sinks are ready",
        )
        async with batch_producer(kafka.bootstrap) as producer:
            batches = [list(make_batches(producer, records)) for records in _backlog()]
            started_at, cpu = time.perf_counter(), _cpu_seconds(pids)
            for partition, filled in enumerate(batches):
                await send_batches(producer, EVENTS_RAW.name, partition, filled)
            await _until_stored(url)
            seconds = time.perf_counter() - started_at
            return Measurement(_EVENTS, seconds, _cpu_seconds(pids) - cpu)


async def _until_stored(url: str) -> None:
    stored = select(func.sum(_OFFSETS.next_offset)).where(_OFFSETS.topic == EVENTS_RAW.name)
    reader = open_reader(url)
    try:
        async with asyncio.timeout(_DONE_SECONDS):
            while (await reader.run(lambda found: found.scalar(stored)) or 0) < _EVENTS:  # noqa: ASYNC110 - SQL
                await asyncio.sleep(0.05)
    finally:
        await reader.close()


async def _run_web(kafka: LocalKafka, workers: int) -> Measurement:
    """Send requests to web processes on one port."""
    cores, port = all_cores()[:workers], free_port()
    await recreate_topics(kafka.bootstrap, _PARTITIONS)
    with ExitStack() as stack:
        stack.enter_context(pinned((os.getpid(), kafka.process.pid), cores))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        url = f"sqlite:///{folder / 'headrace.db'}"
        await asyncio.to_thread(upgrade, url)
        names = worker_names("web", workers)
        peers = [argument for name in names for argument in ("--peer", name)]
        shared = ["web", "--status-dir", str(folder), "--worker", "streams", *peers]
        commands = [[*shared, "--name", name] for name in names]
        settings = {"API__PORT": str(port), "API__SITES": "open", "DATABASE__URL": url}
        pids = stack.enter_context(_roles(kafka, commands, **settings))
        await asyncio.to_thread(
            eventually,
            lambda: _accepts(port) and all((folder / f"{name}.json").exists() for name in names),
            within_seconds=_READY_SECONDS,
            what="all web processes accept events",
        )
        arguments = (",".join(map(str, pids)), port, _CONNECTIONS, _LOAD_SECONDS)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.load", *map(str, arguments)),
            str(_EVENTS_PER_REQUEST),
            stdout=asyncio.subprocess.PIPE,
        )
        (output, _) = await process.communicate()
        load: Mapping[str, float] = json.loads(output)
        if load["others"]:
            raise RuntimeError(f"{load['others']} responses did not have status 202")
        events = int(load["accepted"]) * _EVENTS_PER_REQUEST
        latencies = (load["p50_ms"], load["p99_ms"])
        return Measurement(events, load["seconds"], load["cpu_seconds"], latencies)


def _accepts(port: int) -> bool:
    event = {"type": "pageview", "site_id": "bench", "session_id": "s"}
    try:
        response = httpx.post(f"http://127.0.0.1:{port}/api/event", json=event)
    except httpx.TransportError:
        return False
    return response.status_code == 202


@contextmanager
def _roles(
    kafka: LocalKafka, commands: Sequence[Sequence[str]], **settings: str
) -> Iterator[list[int]]:
    """Run a command on each core; yield the process ids."""
    values = {
        "KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap,
        "KAFKA__PARTITIONS": str(_PARTITIONS),
        **settings,
    }
    env = {**os.environ, **{f"HEADRACE_{name}": value for name, value in values.items()}}
    processes = []
    try:
        for core, command in zip(all_cores(), commands, strict=False):
            argv = [sys.executable, "-m", "headrace", *command]
            process = subprocess.Popen(argv, env=env, stderr=subprocess.DEVNULL)  # noqa: S603
            processes.append(process)
            pin(process.pid, [core])
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


@cache
def _backlog() -> list[list[Record]]:
    """Return the records of each partition."""
    by_partition: list[list[Record]] = [[] for _ in range(_PARTITIONS)]
    for event in distinct(_EVENTS):
        (_, key, value, headers, *_) = raw_record(0, event)
        assert key is not None
        assert value is not None
        by_partition[partition_of(key, _PARTITIONS)].append((key, value, headers))
    return by_partition


def _cpu_seconds(pids: Sequence[int]) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return float(sum(cpu.user + cpu.system for cpu in times))
