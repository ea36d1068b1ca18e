# /// script
# requires-python = ">=3.11"
# dependencies = ["quixstreams==3.28.1"]
# ///
"""Quix Streams: `uv run --script benchmarks/peers/quix.py JOB BOOTSTRAP PREFIX GROUP EVENTS`.

It has its own environment, because it and headrace require different versions of pydantic-settings.
"""

import sys
import tempfile
from typing import Any

from quixstreams import Application

from benchmarks.stopwatch import Stopwatch, end_process


def main() -> None:
    """Run the job until all events are processed."""
    job, bootstrap, prefix, group, events = sys.argv[1:]
    stopwatch = Stopwatch(int(events))
    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=tempfile.mkdtemp(),
        producer_extra_config={"compression.type": "snappy", "linger.ms": 5},
        loglevel="WARNING",
    )
    source = app.topic(f"{prefix}-in", key_deserializer="bytes", value_deserializer="bytes")
    frame = app.dataframe(source)
    if job == "table":
        frame = frame.update(_count, stateful=True)
    elif job == "forward":
        out = app.topic(f"{prefix}-out", key_serializer="bytes", value_serializer="bytes")
        frame = frame.to_topic(out)
    seen = 0

    def count(_: Any) -> None:
        nonlocal seen
        stopwatch.begin()
        seen += 1
        if seen == stopwatch.events:
            stopwatch.end()
            end_process()

    frame.update(count)
    app.run()


def _count(_: Any, state: Any) -> None:
    state.set("count", state.get("count", 0) + 1)


if __name__ == "__main__":
    main()
