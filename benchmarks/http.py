"""HTTP to Kafka: one or 100 events per request, answered after the ack; also of other clients."""

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

from benchmarks.dialects import dialect_workloads
from benchmarks.measure import Candidate, Measurement, PeerUnavailable, Workload, unavailable
from benchmarks.process import prepared_command
from headrace.admin.topics import create_topics
from headrace.local.broker.local_kafka import LocalKafka
from headrace.local.broker.ports import free_port
from schemas.kafka_settings import KafkaSettings
from tests.fixtures.waiting import eventually
from tests.integration.producer_api.serving import responds_ok, running

TITLE = "HTTP to Kafka, 202 after the ack"
_SECONDS = 3
_TOPIC = "tutorial"
_PARTITIONS = 4
_EMPTY = "an empty handler (no Kafka)"
#: The role as `headrace api` runs it, with the salts that session ids of other clients need.
_ROLE = """
import sys
from prometheus_client import REGISTRY
from headrace.roles.api import create_api
from producer_api.http.server import serve_app
from schemas.settings import load_settings
settings = load_settings()
sys.exit(serve_app(create_api(settings, registry=REGISTRY), settings.api))
"""
_UVICORN = {"FastAPI, send_and_wait": "tutorial", _EMPTY: "empty"}
_GO_NAME = "Go, net/http and franz-go"
_GO = Path(__file__).parent / "peers" / "go"


class _Server(NamedTuple):
    """A server process."""

    pid: int
    port: int


def _candidate(
    name: str, server: _Server | PeerUnavailable, connections: int, events: int
) -> Candidate:
    if isinstance(server, PeerUnavailable):
        return unavailable(name, server)

    async def run() -> Measurement:
        load = await _load(server, connections, events)
        if load["others"]:
            raise RuntimeError(f"{name}: {load['others']} events were not accepted")
        count = int(load["accepted"]) * events
        latencies = (load["p50_ms"], load["p99_ms"])
        return Measurement(count, load["seconds"], load["cpu_seconds"], latencies)

    return Candidate(name, run)


async def _load(server: _Server, connections: int, events: int) -> Mapping[str, float]:
    arguments = (server.pid, server.port, connections, _SECONDS, events)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.load", *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
    )
    (output, _) = await process.communicate()
    results: Mapping[str, float] = json.loads(output)
    return results


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
    """Build the peer in Go and return its command; raises `PeerUnavailable`."""
    go, peer = shutil.which("go"), str(folder / "peer")
    if go is None:
        raise PeerUnavailable("there is no `go` on the PATH")
    if subprocess.run((go, "build", "-o", peer, "."), cwd=_GO, check=False).returncode:  # noqa: S603
        raise PeerUnavailable("`go build` failed: it could not compile it or fetch its modules")
    return (peer,)


async def _create_topics(kafka: str) -> None:
    await create_topics(KafkaSettings(bootstrap_servers=kafka, partitions=_PARTITIONS))
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(_TOPIC, _PARTITIONS, 1)])
    await admin.close()


@asynccontextmanager
async def workloads() -> AsyncIterator[list[Workload]]:
    """Yield the workloads of this benchmark."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        kafka = stack.enter_context(LocalKafka(folder / "kafka")).bootstrap
        await _create_topics(kafka)
        role = stack.enter_context(running(kafka, folder, _ROLE, MAX_CONNECTIONS="2000"))
        await asyncio.to_thread(
            eventually,
            lambda: responds_ok(role, "/readyz"),
            within_seconds=30,
            what="the API is ready",
        )
        servers: dict[str, _Server | PeerUnavailable] = {
            "headrace": _Server(role.process.pid, role.port)
        }
        for name, module in _UVICORN.items():
            port = free_port()
            servers[name] = stack.enter_context(_peer(kafka, _uvicorn(module, port), port))
        command = await asyncio.to_thread(prepared_command, lambda: go_peer(folder))
        if isinstance(command, PeerUnavailable):
            servers[_GO_NAME] = command
        else:
            servers[_GO_NAME] = stack.enter_context(_peer(kafka, command, free_port()))
        await asyncio.sleep(2)  # peers have no readiness check
        yield [
            *(
                _workload(f"One event per request, {number} connections", servers, number, 1)
                for number in (64, 256, 1_000)
            ),
            _workload("100 events per request, 16 connections", servers, 16, 100),
            *dialect_workloads(role.process.pid, role.port),
        ]


def _workload(
    title: str, servers: Mapping[str, _Server | PeerUnavailable], connections: int, events: int
) -> Workload:
    candidates = [
        _candidate(name, server, connections, events)
        for name, server in servers.items()
        if events == 1 or name != _EMPTY
    ]
    return Workload(title, candidates, warms_up=False)  # each load has its own warm-up
