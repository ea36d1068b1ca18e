"""One agent of headrace on a worker of its own; arguments: AGENT BOOTSTRAP TOPIC GROUP EVENTS."""

import asyncio
import gc
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import uvloop
from faust.types import TP

from benchmarks.backlog import partition_of
from benchmarks.jobs import PARTITIONS
from benchmarks.peers.headrace_worker import until_done
from benchmarks.registered import registering
from benchmarks.stopwatch import Stopwatch, end_process
from schemas.topics import EVENTS_SESSION
from streams.agents.count_live import TELL_SECONDS, Counting
from streams.engine.since import Stretch
from streams.engine.tail import Tail
from streams.engine.worker import Worker


class _TimedWorker(Worker):
    """Begins with the time when the first fetch is there."""

    stopwatch: Stopwatch

    async def handle(self, agent: Any, event: Any) -> None:
        """Process one fetch."""
        self.stopwatch.begin()
        await super().handle(agent, event)


def build(agent: str, bootstrap: str, group: str, stopwatch: Stopwatch) -> Worker:
    """Return a worker that does an agent's work until it has done all events."""
    counting = Counting()

    async def from_the_beginning(sources: Sequence[TP]) -> Mapping[TP, int]:
        counting.take({tp.partition: Stretch(0, 0) for tp in sources})
        return dict.fromkeys(sources, 0)

    positions = from_the_beginning if agent == "count_live" else None
    worker = _TimedWorker(group, bootstrap, positions=positions)
    worker.stopwatch = stopwatch
    nothing_before = Tail(bootstrap, EVENTS_SESSION.name, most=0)
    partition_of_site = partial(partition_of, partitions=PARTITIONS)
    registering(nothing_before, partition_of_site, counting)[agent](worker)

    async def finish() -> None:
        await until_done(worker, stopwatch.events)
        stopwatch.end()
        if agent == "count_live":
            await asyncio.sleep(2 * TELL_SECONDS)  # what is live is told now and then
        end_process()

    worker.beside(finish)
    return worker


def main() -> None:
    """Run the agent."""
    gc.set_threshold(50_000, 20, 100)  # as `python -m infra` does
    agent, bootstrap, _, group, events = sys.argv[1:]
    worker = build(agent, bootstrap, group, Stopwatch(int(events)))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(worker.run(asyncio.Event()))


if __name__ == "__main__":
    main()
