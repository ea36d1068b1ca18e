"""The engine beside its peers, each in a process of its own on the same broker and topic."""

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

from benchmarks.backlog import Record, batches, send, sender
from benchmarks.kafka_streams import kafka_streams
from benchmarks.measure import Absent, Candidate, Spent, Work, absent
from benchmarks.process import ROOT, Command, command_of, told_by
from infra.broker.local_kafka import LocalKafka
from streams.engine.changelog_headers import version_header

PARTITIONS = 4
PREFIX = "bench"
TITLE = "The engine beside its peers, one process each"
JOBS = {
    "count": "Count events",
    "forward": "Forward each event, in its partition",
    "table": "Count events by key, in a table with a changelog",
    "recover": "Recover a table from its changelog",
}
#: It recovers what it wrote itself only: its changelogs are of a form of its own.
_UNABLE = ("Quix Streams", "recover")
EVENTS, KEYS, KEYS_TO_RECOVER = 400_000, 10_000, 100_000
#: Plain Faust would take a minute and a half for all of them, Quix Streams six seconds.
_FEWER = {"plain Faust": 10_000, "Quix Streams": 100_000}
_COMPACT = {"cleanup.policy": "compact"}


def _commands(folder: Path) -> dict[str, Command]:
    """Return each candidate's command, without its arguments."""
    python = [sys.executable, "-m"]
    peers = "benchmarks.peers"
    return {
        "headrace": [*python, f"{peers}.headrace_worker"],
        "plain Faust": [*python, f"{peers}.plain_faust"],
        "bare aiokafka": [*python, f"{peers}.bare_aiokafka"],
        "Quix Streams": command_of(quix_streams),
        "Kafka Streams": command_of(lambda: kafka_streams(folder)),
    }


async def _run(command: Sequence[str], job: str, kafka: str, events: int) -> Spent:
    """Run a candidate to its end, as a consumer group that is new."""
    return await told_by((*command, job, kafka, PREFIX, _new_group(), str(events)))


async def _recover(name: str, command: Sequence[str], kafka: str, events: int) -> Spent:
    """Run a candidate whose table was written before, to where it has recovered it."""
    group = _new_group()
    changelog = f"{group}-counts-changelog"
    await _create(kafka, [NewTopic(changelog, PARTITIONS, 1, topic_configs=_COMPACT)])
    async with sender(kafka) as producer:
        for partition in range(PARTITIONS):
            records = _records(partition, events, KEYS_TO_RECOVER)
            written = _versioned(records) if name == "headrace" else records
            await send(producer, changelog, partition, batches(producer, written))
    return await told_by((*command, "recover", kafka, PREFIX, group, str(events)))


def _new_group() -> str:
    return f"bench-{uuid4().hex}"


@asynccontextmanager
async def works() -> AsyncIterator[list[Work]]:
    """Give the works of this benchmark."""
    with TemporaryDirectory() as folder, LocalKafka(Path(folder, "kafka")) as kafka:
        commands = await asyncio.to_thread(_commands, Path(folder))
        address = kafka.bootstrap
        await prepare(address, PREFIX)

        def candidate(name: str, job: str) -> Candidate:
            command, events = commands[name], _FEWER.get(name, EVENTS)
            if isinstance(command, Absent):
                return absent(name, command)
            if job == "recover":
                return Candidate(name, partial(_recover, name, command, address, events))
            return Candidate(name, partial(_run, command, job, address, events))

        yield [
            Work(
                title,
                [candidate(name, job) for name in commands if (name, job) != _UNABLE],
                unit="record" if job == "recover" else "event",
                warms_up=False,
            )
            for job, title in JOBS.items()
        ]


async def prepare(bootstrap: str, prefix: str, events: int = EVENTS, keys: int = KEYS) -> None:
    """Make the topics and fill the input: `events` records of 200 bytes, of `keys` keys."""
    topics = [NewTopic(f"{prefix}-{name}", PARTITIONS, 1) for name in ("in", "out", "in-dlq")]
    topics.append(NewTopic(f"{prefix}-counts", PARTITIONS, 1, topic_configs=_COMPACT))
    await _create(bootstrap, topics)
    async with sender(bootstrap) as producer:
        for partition in range(PARTITIONS):
            filled = batches(producer, _records(partition, events, keys))
            await send(producer, f"{prefix}-in", partition, filled)


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
    """Yield records of a changelog as headrace writes them."""
    for version, (key, value, _) in enumerate(records):
        yield key, value, version_header(version)


def quix_streams() -> Sequence[str]:
    """Install Quix Streams where uv keeps what its file asks for, and return its command."""
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    script = "benchmarks/peers/quix.py"
    try:
        subprocess.run((uv, "sync", "--quiet", "--script", script), cwd=ROOT, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        raise Absent("uv could not install it") from error
    return [uv, "run", "--quiet", "--script", script]
