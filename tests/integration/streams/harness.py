"""Worker processes, a load with a ledger, and the comparison of all keys."""

import asyncio
import contextlib
import random
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.partitioner import DefaultPartitioner

from streams.engine.changelog_headers import version_of
from tests.fixtures.waiting import eventually, eventually_async
from tests.integration.streams.counting_worker import Count, Names

PARTITIONS = 4
_START_SECONDS = 60


class WorkerProcess:
    """A worker whose output is written to a file."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path) -> None:
        self.log = folder / f"worker-{uuid4().hex[:8]}.log"
        module = "tests.integration.streams.counting_worker"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, bootstrap, prefix],
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def output(self) -> str:
        """Return the output."""
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str) -> None:
        """Wait until the output contains `text`."""
        eventually(
            lambda: text in self.output(),
            within_seconds=_START_SECONDS,
            what=f"{text!r} is printed",
        )

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """Stop the process with SIGTERM, and return its exit code."""
        self.process.terminate()
        return self.process.wait(40)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)


class Bench:
    """The topics and workers of a test, and the ledger of its records."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.prefix = f"t{uuid4().hex[:10]}"
        self.names = Names(self.prefix)
        self.ledger: Counter[bytes] = Counter()
        self._folder = folder
        self._workers: list[WorkerProcess] = []

    async def create_topics(self) -> None:
        """Create topics that no other test uses."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await admin.create_topics(
                [
                    NewTopic(topic.name, PARTITIONS, 1, topic_configs=topic.configs())
                    for topic in self.names.all()
                ]
            )
        finally:
            await admin.close()

    def start_worker(self, *, ready: bool = True) -> WorkerProcess:
        """Start another worker, and wait until it has its partitions."""
        worker = WorkerProcess(self.bootstrap, self.prefix, self._folder)
        self._workers.append(worker)
        if ready:
            worker.wait_for("ready")
        return worker

    async def send(self, records: int, keys: int, seed: int = 0) -> None:
        """Send records with random keys in order, and enter them in the ledger."""
        choose = random.Random(seed)  # noqa: S311 - a test's choice
        chosen = [f"key-{choose.randrange(keys)}".encode() for _ in range(records)]
        await self.send_records([(key, b"x") for key in chosen])
        self.ledger.update(chosen)

    async def send_records(self, records: list[tuple[bytes, bytes]]) -> None:
        """Send records without a ledger entry."""
        by_partition: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
        for key, value in records:
            by_partition[partition_of(key)].append((key, value))
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all")
        await producer.start()
        try:
            for partition, part in by_partition.items():
                sent = [
                    await producer.send(self.names.source.name, value, key, partition)
                    for key, value in part
                ]
                await asyncio.gather(*sent)
        finally:
            await producer.stop()

    async def quiet(self, within_seconds: float = 90) -> None:
        """Wait until both agents have committed all records."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
        await admin.start()
        await consumer.start()
        places = [
            TopicPartition(topic.name, partition)
            for topic in (self.names.source, self.names.out)
            for partition in range(PARTITIONS)
        ]

        async def is_quiet() -> bool:
            # In this order, records forwarded in between count as not committed.
            committed = await admin.list_consumer_group_offsets(self.names.app_id)
            ends = await consumer.end_offsets(places)
            return all(
                end == 0 or (place in committed and committed[place].offset == end)
                for place, end in ends.items()
            )

        try:
            await eventually_async(
                is_quiet, within_seconds=within_seconds, what="the group has committed everything"
            )
        finally:
            await consumer.stop()
            await admin.close()

    async def counts(self) -> dict[bytes, int]:
        """Return the table after a recovery: the value with the highest version per key."""
        newest: dict[bytes, tuple[int, bytes]] = {}
        for record in await self.read(self.names.counts.name):
            version = version_of(record)
            if version >= newest.get(record.key, (-1, b""))[0]:
                newest[record.key] = (version, record.value)
        return {key: Count.unpack(value).records for key, (_, value) in newest.items()}

    async def read(self, topic: str) -> list[Any]:
        """Return all records of a topic by partition."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        records: list[Any] = []
        try:
            places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            for place in places:
                await consumer.seek_to_beginning(place)
            while any([await consumer.position(place) < ends[place] for place in places]):
                fetched = await consumer.getmany(timeout_ms=500)
                for part in fetched.values():
                    records.extend(part)
        finally:
            await consumer.stop()
        return records

    def stop_all(self) -> None:
        """Kill the remaining processes."""
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                worker.send(signal.SIGCONT)
            worker.kill()


def partition_of(key: bytes) -> int:
    """Return the partition of a key."""
    partitions = list(range(PARTITIONS))
    return int(DefaultPartitioner()(key, partitions, partitions))


@contextlib.contextmanager
def bench(bootstrap: str, folder: Path) -> Iterator[Bench]:
    """Yield a bench, and clean up after the test."""
    made = Bench(bootstrap, folder)
    try:
        yield made
    finally:
        made.stop_all()
