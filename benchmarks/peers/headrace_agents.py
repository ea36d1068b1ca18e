"""One agent of headrace on its own worker; arguments: AGENT BOOTSTRAP TOPIC GROUP EVENTS."""

import asyncio
import gc
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from aiokafka import TopicPartition

from benchmarks.backlog import partition_of
from benchmarks.jobs import PARTITIONS
from benchmarks.peers.headrace_worker import until_done
from benchmarks.registered import registrations
from benchmarks.stopwatch import Stopwatch, end_process
from schemas.kafka_settings import KafkaSettings
from schemas.topics import EVENTS_SESSION
from streams.agents.count_live import PUBLISH_SECONDS, Counting
from streams.engine.log_tail import LogTail
from streams.engine.offset_range import OffsetRange
from streams.engine.worker import Worker


class _TimedWorker(Worker):
    """Starts the stopwatch at the first fetch."""

    stopwatch: Stopwatch

    async def handle(self, tp: TopicPartition, records: Sequence[Any]) -> bool:
        """Process one fetch."""
        self.stopwatch.begin()
        return await super().handle(tp, records)


def build(agent: str, bootstrap: str, group: str, stopwatch: Stopwatch) -> Worker:
    """Return a worker that runs one agent until it has processed all events."""
    counting = Counting()

    async def from_the_beginning(
        sources: Collection[TopicPartition],
    ) -> Mapping[TopicPartition, int]:
        counting.assign({tp.partition: OffsetRange(0, 0) for tp in sources})
        return dict.fromkeys(sources, 0)

    positions = from_the_beginning if agent == "count_live" else None
    kafka = KafkaSettings(bootstrap_servers=bootstrap)
    worker = _TimedWorker(group, kafka, positions=positions)
    worker.stopwatch = stopwatch
    empty_tail = LogTail(kafka, EVENTS_SESSION.name, limit=0)
    partition_of_site = partial(partition_of, partitions=PARTITIONS)
    registrations(empty_tail, partition_of_site, counting)[agent](worker)

    async def finish() -> None:
        await until_done(worker, stopwatch.events)
        stopwatch.end()
        if agent == "count_live":
            await asyncio.sleep(2 * PUBLISH_SECONDS)  # counters are published at this interval
        end_process()

    worker.background(finish)
    return worker


def main() -> None:
    """Run the agent."""
    gc.set_threshold(50_000, 20, 100)  # as `python -m headrace` does
    agent, bootstrap, _, group, events = sys.argv[1:]
    worker = build(agent, bootstrap, group, Stopwatch(int(events)))
    with asyncio.Runner() as runner:
        runner.run(worker.run(asyncio.Event()))


if __name__ == "__main__":
    main()
