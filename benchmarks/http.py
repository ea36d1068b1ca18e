"""HTTP to Kafka: one event a request and a hundred, answered with 202 after the ack."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.measure import Absent, Candidate, Spent, Work, absent
from benchmarks.process import command_of
from infra.broker.local_kafka import LocalKafka
from infra.broker.ports import free_port
from infra.topics import create_topics
from schemas.kafka_settings import KafkaSettings
from tests.fixtures.waiting import eventually
from tests.integration.producer_api.serving import answers, running

TITLE = "HTTP to Kafka, answered after the ack"
_SECONDS = 3
_TOPIC = "tutorial"
_PARTITIONS = 4
_EMPTY = "an empty handler (no Kafka)"
_UVICORN = {"FastAPI, send_and_wait": "tutorial", _EMPTY: "empty"}
_GO_NAME = "Go, net/http and franz-go"
_GO = Path(__file__).parent / "peers" / "go"


class _Server(NamedTuple):
    """A process that serves."""

    pid: int
    port: int


def _candidate(name: str, server: _Server | Absent, connections: int, events: int) -> Candidate:
    if isinstance(server, Absent):
        return absent(name, server)

    async def run() -> Spent:
        came = await _load(server, connections, events)
        if came["others"]:
            raise RuntimeError(f"{name}: {came['others']} requests were not answered with 202")
        count = int(came["accepted"]) * events
        latencies = (came["p50_ms"], came["p99_ms"])
        return Spent(count, came["seconds"], came["cpu_seconds"], latencies)

    return Candidate(name, run)


async def _load(server: _Server, connections: int, events: int) -> Mapping[str, float]:
    path = "/api/event" if events == 1 else "/api/events"
    arguments = (server.pid, server.port, path, connections, _SECONDS, events)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.load", *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
    )
    (told, _) = await process.communicate()
    found: Mapping[str, float] = json.loads(told)
    return found


@contextmanager
def _peer(kafka: str, command: Sequence[str], port: int) -> Iterator[_Server]:
    environment = {**os.environ, "KAFKA": kafka, "TOPIC": _TOPIC, "PORT": str(port)}
    process = subprocess.Popen(command, env=environment)  # noqa: S603
    try:
        yield _Server(process.pid, port)
    finally:
        process.terminate()
        process.wait()


def _uvicorn(module: str, port: int) -> Sequence[str]:
    options = ("--port", str(port), "--no-access-log", "--log-level", "warning")
    return (sys.executable, "-m", "uvicorn", f"benchmarks.peers.{module}:app", *options)


def go_peer(folder: Path) -> Sequence[str]:
    """Return the command of the peer in Go, which is built here; `Absent` where that fails."""
    go, peer = shutil.which("go"), str(folder / "peer")
    if go is None:
        raise Absent("there is no `go` on the PATH")
    if subprocess.run((go, "build", "-o", peer, "."), cwd=_GO, check=False).returncode:  # noqa: S603
        raise Absent("`go build` did not build it, or could not fetch its modules")
    return (peer,)


async def _create_topics(kafka: str) -> None:
    await create_topics(KafkaSettings(bootstrap_servers=kafka, partitions=_PARTITIONS))
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(_TOPIC, _PARTITIONS, 1)])
    await admin.close()


@asynccontextmanager
async def works() -> AsyncIterator[list[Work]]:
    """Give the works of this benchmark."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        kafka = stack.enter_context(LocalKafka(folder / "kafka")).bootstrap
        await _create_topics(kafka)
        role = stack.enter_context(running(kafka, folder, MAX_CONNECTIONS="2000"))
        await asyncio.to_thread(
            eventually, lambda: answers(role, "/readyz"), within_seconds=30, what="the API is ready"
        )
        servers: dict[str, _Server | Absent] = {"headrace": _Server(role.process.pid, role.port)}
        for name, module in _UVICORN.items():
            port = free_port()
            servers[name] = stack.enter_context(_peer(kafka, _uvicorn(module, port), port))
        command = await asyncio.to_thread(command_of, lambda: go_peer(folder))
        if isinstance(command, Absent):
            servers[_GO_NAME] = command
        else:
            servers[_GO_NAME] = stack.enter_context(_peer(kafka, command, free_port()))
        await asyncio.sleep(2)  # peers have nothing that would tell that they are ready
        yield [
            Work(
                f"One event a request, {connections} connections",
                [_candidate(name, server, connections, 1) for name, server in servers.items()],
                warms_up=False,  # each load does that by itself
            )
            for connections in (64, 256, 1_000)
        ] + [
            Work(
                "A hundred events a request, 16 connections",
                [
                    _candidate(name, server, 16, 100)
                    for name, server in servers.items()
                    if name != _EMPTY
                ],
                warms_up=False,
            )
        ]
