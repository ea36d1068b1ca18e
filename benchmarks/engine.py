"""The engine beside its peers, each in a process of its own on the same broker and topic."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.measure import Candidate, Spent, Work
from infra.broker import maven
from infra.broker.jars import cache_folder
from infra.broker.local_kafka import LocalKafka

ROOT = Path(__file__).parents[1]
#: Not the broker's version: not every repository that mirrors Maven Central has the newest one.
KAFKA_STREAMS_VERSION = "4.3.1"
PARTITIONS = 4
PREFIX = "bench"
TITLE = "The engine beside its peers, one process each"
JOBS = {
    "count": "Count events",
    "forward": "Forward each event, in its partition",
    "table": "Count events by key, in a table with a changelog",
}
EVENTS, KEYS = 400_000, 10_000
#: Plain Faust would take a minute and a half for all of them.
EVENTS_OF_FAUST = 30_000
_SECONDS = 180
_BATCH_BYTES = 512 * 1024


def candidates() -> dict[str, list[str]]:
    """Return each candidate's command, without its arguments; Java's only where a JDK is."""
    python = [sys.executable, "-m"]
    peers = "benchmarks.peers"
    found = {
        "headrace": [*python, f"{peers}.headrace_worker"],
        "plain Faust": [*python, f"{peers}.plain_faust"],
        "bare aiokafka": [*python, f"{peers}.bare_aiokafka"],
        "Quix Streams": [*_uv(), "run", "--quiet", "--script", "benchmarks/peers/quix.py"],
    }
    if java := shutil.which("java") if shutil.which("javac") else None:
        jars = os.pathsep.join(map(str, _kafka_streams_jars()))
        source = "benchmarks/peers/KafkaStreamsPeer.java"
        found["Kafka Streams"] = [java, "-Xmx1g", "-cp", jars, source]
    return found


async def _run(command: Sequence[str], job: str, kafka: str, events: int) -> Spent:
    """Run a candidate to its end, as a consumer group that is new."""
    arguments = (job, kafka, PREFIX, f"bench-{uuid4().hex}", str(events))
    process = await asyncio.create_subprocess_exec(
        *(*command, *arguments),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        out, errors = await asyncio.wait_for(process.communicate(), _SECONDS)
    except TimeoutError:
        process.kill()
        raise
    for line in out.decode().splitlines():
        if line.startswith("{"):
            told = json.loads(line)
            return Spent(told["events"], told["seconds"], told["cpu_seconds"])
    said = errors.decode(errors="replace")[-2_000:]
    raise RuntimeError(f"{' '.join(command)} {job} told nothing:\n{said}")


@asynccontextmanager
async def works() -> AsyncIterator[list[Work]]:
    """Give the works of this benchmark."""
    commands = candidates()
    with TemporaryDirectory() as folder, LocalKafka(Path(folder)) as kafka:
        address = kafka.bootstrap
        await prepare(address, PREFIX)

        def candidate(name: str, job: str) -> Candidate:
            events = EVENTS_OF_FAUST if name == "plain Faust" else EVENTS
            return Candidate(name, lambda: _run(commands[name], job, address, events))

        yield [
            Work(title, [candidate(name, job) for name in commands]) for job, title in JOBS.items()
        ]


async def prepare(bootstrap: str, prefix: str, events: int = EVENTS, keys: int = KEYS) -> None:
    """Make the topics and fill the input: `events` records of 200 bytes, of `keys` keys."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        compact = {"cleanup.policy": "compact"}
        topics = [NewTopic(f"{prefix}-{name}", PARTITIONS, 1) for name in ("in", "out", "in-dlq")]
        topics.append(NewTopic(f"{prefix}-counts", PARTITIONS, 1, topic_configs=compact))
        await admin.create_topics(topics)
    finally:
        await admin.close()
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, compression_type="lz4", max_batch_size=_BATCH_BYTES
    ) as producer:
        for partition in range(PARTITIONS):
            await _fill(producer, f"{prefix}-in", partition, events, keys)


async def _fill(
    producer: AIOKafkaProducer, topic: str, partition: int, events: int, keys: int
) -> None:
    builder = producer.create_batch()
    for number in range(partition, events, PARTITIONS):
        key = b"site:session-%06d" % (number * 7_919 % keys // PARTITIONS * PARTITIONS + partition)
        value = (b'{"n":%d,"path":"/page/%d","text":"' % (number, number % 97)).ljust(
            198, b"x"
        ) + b'"}'
        if builder.append(timestamp=None, key=key, value=value) is None:
            builder.close()
            await (await producer.send_batch(builder, topic, partition=partition))
            builder = producer.create_batch()
            builder.append(timestamp=None, key=key, value=value)
    builder.close()
    await (await producer.send_batch(builder, topic, partition=partition))


def _uv() -> list[str]:
    found = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    return [found]


def _kafka_streams_jars() -> list[Path]:
    """Return the jars of Kafka Streams, fetched once from Maven Central."""
    folder = cache_folder() / f"kafka-streams-{KAFKA_STREAMS_VERSION}"
    listed = folder / "classpath.txt"
    if not listed.exists():
        folder.mkdir(parents=True, exist_ok=True)
        jars = maven.download(f"org.apache.kafka:kafka-streams:{KAFKA_STREAMS_VERSION}", folder)
        listed.write_text("\n".join(map(str, jars)))
    return [Path(line) for line in listed.read_text().split("\n")]
