"""A worker of `route_events` and `sessionize` on one core.

`python -m benchmarks.scaled_worker BOOTSTRAP GROUP PARTITIONS CORE`

Prints a line of JSON every 50 ms: the number of partitions that it owns, of records that
`sessionize` has processed, and of fetches of both agents.
"""

import asyncio
import gc
import json
import sys
from collections.abc import Sequence
from typing import Any

import psutil
import uvloop
from aiokafka import TopicPartition

from benchmarks.live_sessions import RULES
from schemas.kafka_settings import KafkaSettings
from schemas.topics import EVENTS_SESSION
from streams.agents import route_events, sessionize
from streams.domain.routing.dedupe import CLIENT_IDS
from streams.engine.log_tail import LogTail
from streams.engine.worker import Worker

_SECONDS = 0.05


class _CountingWorker(Worker):
    """A worker that counts its fetches."""

    fetches = 0

    async def handle(self, tp: TopicPartition, records: Sequence[Any]) -> bool:
        """Process one fetch."""
        self.fetches += 1
        return await super().handle(tp, records)


def build(bootstrap: str, group: str, partitions: int) -> Worker:
    """Return a worker with the two agents that process every event."""
    kafka = KafkaSettings(bootstrap_servers=bootstrap)
    worker = _CountingWorker(group, kafka)
    tail = LogTail(kafka, EVENTS_SESSION.name, CLIENT_IDS.limit)
    route_events.register(worker, tail, lambda site: len(site) % partitions)
    sessionize.register(worker, RULES)

    async def report() -> None:
        ready = worker.not_ready is None
        owned = len(worker.partitions_of(EVENTS_SESSION)) if ready else 0
        offsets = worker.group.done.items()
        done = sum(offset for tp, offset in offsets if tp.topic == EVENTS_SESSION.name)
        line = {"owned": owned, "done": done, "fetches": worker.fetches}
        print(json.dumps(line), flush=True)

    worker.every(_SECONDS, report)
    return worker


def main() -> None:
    """Run until killed."""
    bootstrap, group, partitions, core = sys.argv[1:]
    psutil.Process().cpu_affinity([int(core)])
    gc.set_threshold(50_000, 20, 100)  # as roles do
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(build(bootstrap, group, int(partitions)).run(asyncio.Event()))


if __name__ == "__main__":
    main()
