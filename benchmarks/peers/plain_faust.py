"""Faust as in its tutorial; arguments: JOB BOOTSTRAP PREFIX GROUP EVENTS.

In favor of Faust: uvloop, memory tables and large producer batches.
"""

import asyncio
import sys
from typing import Any

import faust
import uvloop

from benchmarks.peers.recovery import time_recovery
from benchmarks.stopwatch import Stopwatch, end_process


def faust_app(bootstrap: str, group: str) -> Any:
    """Return an app without agents."""
    return faust.App(
        group,
        broker=f"kafka://{bootstrap}",
        autodiscover=False,
        web_enabled=False,
        store="memory://",
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        producer_max_batch_size=512 * 1024,
        topic_partitions=4,
        datadir="/tmp/headrace-bench-faust",  # noqa: S108 - required by Faust; stays empty
    )


def build(job: str, bootstrap: str, prefix: str, group: str, stopwatch: Stopwatch) -> Any:
    """Return an app that runs the job until it has processed all events."""
    app = faust_app(bootstrap, group)
    source = app.topic(f"{prefix}-in", key_type=bytes, value_type=bytes, value_serializer="raw")
    out = app.topic(f"{prefix}-out", key_type=bytes, value_type=bytes, value_serializer="raw")
    counts = app.Table("counts", default=int, key_type=bytes, partitions=4)
    seen = 0

    async def work(stream: Any) -> None:
        nonlocal seen
        async for event in stream.events():
            stopwatch.begin()
            if job == "forward":
                await out.send(key=event.key, value=event.value, partition=event.message.partition)
            elif job == "table":
                counts[event.key] += 1
            seen += 1
            if seen == stopwatch.events:
                stopwatch.end()
                end_process()

    async def finish_recovery() -> None:
        stopwatch.end()
        end_process()

    app.agent(source)(work)
    if job == "recover":
        time_recovery(counts, stopwatch)
        app.task(finish_recovery)  # Faust starts tasks after the recovery of tables
    return app


async def run_app(app: faust.App) -> None:
    """Run an app until it ends."""
    app.finalize()
    await app.start()
    await app.wait_until_stopped()


async def main() -> None:
    """Run the job."""
    job, bootstrap, prefix, group, events = sys.argv[1:]
    await run_app(build(job, bootstrap, prefix, group, Stopwatch(int(events))))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
