"""HTTP to SQL: the rates that the whole pipeline sustains, with the CPU time of each role.

A rate is sustained if all events are processed and stored in SQL within two seconds of the last
202; one second of this is the commit interval of `streams`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from benchmarks.events import timed_events
from benchmarks.loaded import LoadedStack, loaded_stack
from benchmarks.measure import Candidate, Measurement, Workload
from schemas.stages import SINK_STAGES, STREAM_STAGES
from schemas.topics import EVENTS_SESSION
from streams.app import APP_ID as STREAMS
from streams.live_app import APP_ID as LIVE
from tests.e2e.stack import Stack

TITLE = "HTTP to SQL (SQLite), all on one machine"
_RATES = (2_000, 6_000, 8_000, 10_000)
_SECONDS = 8
_BATCH = 100
_CONNECTIONS = 16
_DISTINCT = 20_000
_GROUPS = {
    STREAMS: [topic.name for topic in STREAM_STAGES.values()],
    LIVE: [EVENTS_SESSION.name],
}
_STORED = [topic.name for topic in SINK_STAGES.values()]
_PARTITIONS = range(4)  # as `headrace up` makes them
_GIVE_UP_SECONDS = 90
_numbers = count()


def _bodies(batches: int) -> list[bytes]:
    """Return batches of distinct events; repetitions have new sessions and visitors."""
    sample = timed_events(_DISTINCT)
    encoded = []
    for _ in range(batches):
        batch = [
            _event(sample[number % _DISTINCT].event, number) for number in islice(_numbers, _BATCH)
        ]
        encoded.append(msgspec.json.encode(batch))
    return encoded


def _event(event: dict[str, Any], number: int) -> dict[str, Any]:
    names = {key: f"{event[key]}-{number // _DISTINCT}" for key in ("session_id", "visitor_id")}
    return {**event, **names, "event_id": str(UUID(int=number * 0x9E3779B97F4A7C15, version=4))}


class _Progress:
    """Waits until a stack has processed all events."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka, enable_auto_commit=False)

    async def __aenter__(self) -> Self:
        await self._admin.start()
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()
        await self._admin.close()

    async def until_done(self) -> None:
        """Wait until the groups have committed all records and SQL has all results."""
        async with asyncio.timeout(_GIVE_UP_SECONDS):
            for group, topics in _GROUPS.items():
                while await self._behind(topics, await self._committed(group)):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            while await self._behind(_STORED, await self._stored()):  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def _behind(self, topics: Sequence[str], done: Mapping[TopicPartition, int]) -> bool:
        partitions = [TopicPartition(topic, number) for topic in topics for number in _PARTITIONS]
        ends = await self._consumer.end_offsets(partitions)
        return any(end > done.get(tp, 0) for tp, end in ends.items())

    async def _committed(self, group: str) -> dict[TopicPartition, int]:
        offsets = await self._admin.list_consumer_group_offsets(group)
        return {tp: committed.offset for tp, committed in offsets.items()}

    async def _stored(self) -> dict[TopicPartition, int]:
        query = "SELECT topic, partition, next_offset FROM consumer_offsets"
        rows = await asyncio.to_thread(self._stack.rows, query)
        return {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}


async def _run(loaded: LoadedStack, progress: _Progress, rate: int) -> Measurement:
    bodies = await asyncio.to_thread(_bodies, _SECONDS * rate // _BATCH)
    stored = _stored_bytes(loaded.stack.data_dir)
    load_cpu, before = time.process_time(), loaded.cpu_seconds("kafka")
    started_at, times = await loaded.send(bodies, _BATCH, rate, _CONNECTIONS)
    load_cpu = time.process_time() - load_cpu
    await progress.until_done()
    done = asyncio.get_running_loop().time()
    after, events = loaded.cpu_seconds("kafka"), len(bodies) * _BATCH
    shares = {role: (after[role] - before[role]) / events * 1e6 for role in after}
    figures = {
        "s until all is processed": done - max(times),
        **{f"{role}, µs": share for role, share in shares.items()},
        "load generator, µs": load_cpu / events * 1e6,
        **{
            f"{store}, bytes": (size - stored[store]) / events
            for store, size in _stored_bytes(loaded.stack.data_dir).items()
        },
    }
    cpu = sum(share for role, share in shares.items() if role != "kafka") * events / 1e6
    return Measurement(events, max(times) - started_at, cpu, figures=figures)


def _stored_bytes(data_dir: Path) -> dict[str, int]:
    stores = {"Kafka": (data_dir / "kafka").rglob("*.log"), "SQLite": data_dir.glob("*.db*")}
    return {name: sum(file.stat().st_size for file in files) for name, files in stores.items()}


@asynccontextmanager
async def workloads() -> AsyncIterator[list[Workload]]:
    """Yield the workloads of this benchmark."""
    async with loaded_stack() as loaded, _Progress(loaded.stack) as progress:
        await _run(loaded, progress, _RATES[0])
        rates = [
            Candidate(f"{rate:,} events/s", partial(_run, loaded, progress, rate))
            for rate in _RATES
        ]
        yield [Workload("Batches of 100", rates, warms_up=False)]
