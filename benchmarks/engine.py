"""The engine compared with its peers, each in its own process on the same broker and topic."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.backlog import Record, batch_producer, make_batches, send_batches
from benchmarks.kafka_streams import kafka_streams
from benchmarks.measure import Candidate, Measurement, PeerUnavailable, Workload, unavailable
from benchmarks.process import ROOT, Command, prepared_command, python_commands, run_candidate
from headrace.local.broker.local_kafka import LocalKafka
from streams.engine.changelog_headers import version_header

PARTITIONS = 4
PREFIX = "bench"
TITLE = "The engine compared with its peers, one process each"
JOBS = {
    "count": "Count events",
    "forward": "Forward each event to the same partition",
    "table": "Count events by key, in a table with a changelog",
    "recover": "Recover a table from its changelog",
}
#: Quix Streams recovers only changelogs in its own format.
_UNABLE = ("Quix Streams", "recover")
EVENTS, KEYS, KEYS_TO_RECOVER = 400_000, 10_000, 100_000
#: With all events, plain Faust would take 90 s and Quix Streams 6 s.
_FEWER = {"plain Faust": 10_000, "Quix Streams": 100_000}
_COMPACT = {"cleanup.policy": "compact"}


def _commands(folder: Path) -> dict[str, Command]:
    """Return each candidate's command, without its arguments."""
    python = [sys.executable, "-m"]
    peers = "benchmarks.peers"
    return {
        **python_commands(f"{peers}.headrace_worker"),
        "plain Faust": [*python, f"{peers}.plain_faust"],
        "bare aiokafka": [*python, f"{peers}.bare_aiokafka"],
        "Quix Streams": prepared_command(quix_streams),
        "Kafka Streams": prepared_command(lambda: kafka_streams(folder)),
    }


async def _run(command: Sequence[str], job: str, kafka: str, events: int) -> Measurement:
    """Run a candidate with a new consumer group."""
    return await run_candidate((*command, job, kafka, PREFIX, _new_group(), str(events)))


async def _recover(name: str, command: Sequence[str], kafka: str, events: int) -> Measurement:
    """Run a candidate until it has recovered a table from an existing changelog."""
    group = _new_group()
    changelog = f"{group}-counts-changelog"
    await _create(kafka, [NewTopic(changelog, PARTITIONS, 1, topic_configs=_COMPACT)])
    async with batch_producer(kafka) as producer:
        for partition in range(PARTITIONS):
            records = _records(partition, events, KEYS_TO_RECOVER)
            if name.startswith("headrace"):
                records = _versioned(records)
            await send_batches(producer, changelog, partition, make_batches(producer, records))
    return await run_candidate((*command, "recover", kafka, PREFIX, group, str(events)))


def _new_group() -> str:
    return f"bench-{uuid4().hex}"


@asynccontextmanager
async def workloads() -> AsyncIterator[list[Workload]]:
    """Yield the workloads of this benchmark."""
    with TemporaryDirectory() as folder, LocalKafka(Path(folder, "kafka")) as kafka:
        commands = await asyncio.to_thread(_commands, Path(folder))
        address = kafka.bootstrap
        await prepare(address, PREFIX)

        def candidate(name: str, job: str) -> Candidate:
            command, events = commands[name], _FEWER.get(name, EVENTS)
            if isinstance(command, PeerUnavailable):
                return unavailable(name, command)
            if job == "recover":
                return Candidate(name, partial(_recover, name, command, address, events))
            return Candidate(name, partial(_run, command, job, address, events))

        yield [
            Workload(
                title,
                [candidate(name, job) for name in commands if (name, job) != _UNABLE],
                unit="record" if job == "recover" else "event",
                warms_up=False,
            )
            for job, title in JOBS.items()
        ]


async def prepare(bootstrap: str, prefix: str, events: int = EVENTS, keys: int = KEYS) -> None:
    """Create the topics; fill the input with `events` records of 200 bytes and `keys` keys."""
    topics = [NewTopic(f"{prefix}-{name}", PARTITIONS, 1) for name in ("in", "out", "in-dlq")]
    topics.append(NewTopic(f"{prefix}-counts", PARTITIONS, 1, topic_configs=_COMPACT))
    await _create(bootstrap, topics)
    async with batch_producer(bootstrap) as producer:
        for partition in range(PARTITIONS):
            batches = make_batches(producer, _records(partition, events, keys))
            await send_batches(producer, f"{prefix}-in", partition, batches)


async def _create(bootstrap: str, topics: Sequence[NewTopic]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics(topics)
    finally:
        await admin.close()


def _records(partition: int, events: int, keys: int) -> Iterator[Record]:
    for number in range(partition, events, PARTITIONS):
        key = b"site:session-%06d" % (number * 7_919 % keys // PARTITIONS * PARTITIONS + partition)
        value = b'{"n":%d,"path":"/page/%d","text":"' % (number, number % 97)
        yield key, value.ljust(198, b"x") + b'"}', ()


def _versioned(records: Iterable[Record]) -> Iterator[Record]:
    """Yield records with the headers of headrace's changelogs."""
    for version, (key, value, _) in enumerate(records):
        yield key, value, version_header(version)


def quix_streams() -> Sequence[str]:
    """Install Quix Streams in an environment of uv and return its command."""
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    script = "benchmarks/peers/quix.py"
    try:
        subprocess.run((uv, "sync", "--quiet", "--script", script), cwd=ROOT, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        raise PeerUnavailable("uv could not install it") from error
    return [uv, "run", "--quiet", "--script", script]
