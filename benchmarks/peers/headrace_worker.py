"""The engine of headrace; arguments: JOB BOOTSTRAP PREFIX GROUP EVENTS."""

import asyncio
import gc
import struct
import sys
from collections.abc import Collection, Mapping

from aiokafka import TopicPartition

from benchmarks.stopwatch import Stopwatch, end_process
from schemas.kafka_settings import KafkaSettings
from schemas.topics import Topic
from streams.engine.batch import Batch
from streams.engine.worker import Worker

_COUNT = struct.Struct(">q")


def topic(name: str, cleanup: str = "delete") -> Topic:
    """Return a topic of the benchmark."""
    return Topic(name, "", "", "", cleanup=cleanup)


def build(job: str, bootstrap: str, prefix: str, group: str, stopwatch: Stopwatch) -> Worker:
    """Return a worker that runs the job until it has processed all events."""
    worker = Worker(group, KafkaSettings(bootstrap_servers=bootstrap))
    out = f"{prefix}-out"
    counts = worker.raw_table(
        topic(f"{prefix}-counts", "compact"), _COUNT.pack, lambda value: _COUNT.unpack(value)[0]
    )
    seen = 0

    def count(batch: Batch) -> None:
        nonlocal seen
        stopwatch.begin()
        seen += len(batch.records)

    def forward(batch: Batch) -> None:
        count(batch)
        for record in batch.records:
            batch.emit(out, batch.partition, record.key, record.value)

    def table(batch: Batch) -> None:
        count(batch)
        states = counts.of(batch.partition)
        for record in batch.records:
            states.put(record.key, (states.get(record.key) or 0) + 1)

    tables = [counts] if job == "table" else []
    agents = {"count": count, "forward": forward, "table": table}
    worker.agent(topic(f"{prefix}-in"), tables=tables)(agents[job])

    async def finish() -> None:
        await until_done(worker, stopwatch.events)
        stopwatch.end()
        end_process()

    worker.background(finish)
    return worker


async def until_done(worker: Worker, events: int) -> None:
    """Wait until `events` records are processed and their output is acknowledged."""
    while sum(worker.group.done.values()) < events:  # noqa: ASYNC110 - nobody is notified
        await asyncio.sleep(0.001)


class _RecoveringWorker(Worker):
    """Starts the stopwatch when its partitions are assigned."""

    stopwatch: Stopwatch

    async def take_over(self, owned: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Restore the tables of these partitions."""
        self.stopwatch.begin()
        return await super().take_over(owned)


def recovering(bootstrap: str, prefix: str, group: str, stopwatch: Stopwatch) -> Worker:
    """Return a worker that exits as soon as its table is recovered."""
    worker = _RecoveringWorker(group, KafkaSettings(bootstrap_servers=bootstrap))
    worker.stopwatch = stopwatch
    states = worker.raw_table(topic(f"{group}-counts-changelog", "compact"), bytes, bytes)

    @worker.agent(topic(f"{prefix}-in"), tables=[states])
    def ignore(_: Batch) -> None:
        pass

    async def finish() -> None:
        while worker.not_ready is not None:  # noqa: ASYNC110 - nobody is notified
            await asyncio.sleep(0.001)
        stopwatch.end()
        end_process()

    worker.background(finish)
    return worker


def main() -> None:
    """Run the job."""
    gc.set_threshold(50_000, 20, 100)  # as `python -m headrace` does
    job, bootstrap, prefix, group, events = sys.argv[1:]
    stopwatch = Stopwatch(int(events))
    if job == "recover":
        worker = recovering(bootstrap, prefix, group, stopwatch)
    else:
        worker = build(job, bootstrap, prefix, group, stopwatch)
    with asyncio.Runner() as runner:
        runner.run(worker.run(asyncio.Event()))


if __name__ == "__main__":
    main()
