"""The engine beside its peers, each in a process of its own on the same broker and topic."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from infra.broker import maven
from infra.broker.jars import cache_folder

ROOT = Path(__file__).parents[1]
#: Not the broker's version: not every repository that mirrors Maven Central has the newest one.
KAFKA_STREAMS_VERSION = "4.3.1"
PARTITIONS = 4
JOBS = ("count", "forward", "table")
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


def run(
    command: Sequence[str], job: str, bootstrap: str, prefix: str, events: int
) -> dict[str, float]:
    """Run a candidate to its end and return what it told: events, seconds, CPU seconds."""
    done = subprocess.run(  # noqa: S603 - the commands above
        [*command, job, bootstrap, prefix, str(events)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "VIRTUAL_ENV": ""},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            told: dict[str, float] = json.loads(line)
            return told
    raise RuntimeError(f"{' '.join(command)} {job} told nothing:\n{done.stderr[-2_000:]}")


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
