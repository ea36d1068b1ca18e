"""HTTP to SQL: which rate a whole headrace and its broker sustain, and who works how much for it.

A rate is sustained when all is done within two seconds of the last 202: sessions, durations and
alerts computed and in SQL. One second of it is the time between two commits of `streams`.
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

from benchmarks.events import happenings
from benchmarks.loaded import LoadedStack, loaded_stack
from benchmarks.measure import Candidate, Spent, Work
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
_DIFFERENT = 20_000
_GROUPS = {
    STREAMS: [topic.name for topic in STREAM_STAGES.values()],
    LIVE: [EVENTS_SESSION.name],
}
_STORED = [topic.name for topic in SINK_STAGES.values()]
_PARTITIONS = range(4)  # as `headrace up` makes them
_GIVE_UP_SECONDS = 90
_numbers = count()


def _bodies(batches: int) -> list[bytes]:
    """Return batches of events that no other has: the demo's visitors, then others like them."""
    some = happenings(_DIFFERENT)
    made = []
    for _ in range(batches):
        batch = [
            _event(some[number % _DIFFERENT].event, number) for number in islice(_numbers, _BATCH)
        ]
        made.append(msgspec.json.encode(batch))
    return made


def _event(event: dict[str, Any], number: int) -> dict[str, Any]:
    names = {key: f"{event[key]}-{number // _DIFFERENT}" for key in ("session_id", "visitor_id")}
    return {**event, **names, "event_id": str(UUID(int=number * 0x9E3779B97F4A7C15, version=4))}


class _Progress:
    """Tells whether a stack has done all that there is."""

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
        """Wait until the groups have committed all, then until SQL has it."""
        async with asyncio.timeout(_GIVE_UP_SECONDS):
            for group, topics in _GROUPS.items():
                while await self._behind(topics, await self._committed(group)):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            while await self._behind(_STORED, await self._stored()):  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def _behind(self, topics: Sequence[str], done: Mapping[TopicPartition, int]) -> bool:
        places = [TopicPartition(topic, number) for topic in topics for number in _PARTITIONS]
        ends = await self._consumer.end_offsets(places)
        return any(end > done.get(place, 0) for place, end in ends.items())

    async def _committed(self, group: str) -> dict[TopicPartition, int]:
        found = await self._admin.list_consumer_group_offsets(group)
        return {place: told.offset for place, told in found.items()}

    async def _stored(self) -> dict[TopicPartition, int]:
        query = "SELECT topic, partition, next_offset FROM consumer_offsets"
        rows = await asyncio.to_thread(self._stack.rows, query)
        return {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}


async def _run(loaded: LoadedStack, progress: _Progress, rate: int) -> Spent:
    bodies = await asyncio.to_thread(_bodies, _SECONDS * rate // _BATCH)
    stored = _stored_bytes(loaded.stack.data_dir)
    own, before = time.process_time(), loaded.cpu_seconds("kafka")
    began, times = await loaded.send(bodies, _BATCH, rate, _CONNECTIONS)
    own = time.process_time() - own
    await progress.until_done()
    done = asyncio.get_running_loop().time()
    after, events = loaded.cpu_seconds("kafka"), len(bodies) * _BATCH
    shares = {role: (after[role] - before[role]) / events * 1e6 for role in after}
    figures = {
        "all done after, s": done - max(times),
        **{f"{role}, µs": share for role, share in shares.items()},
        "the load, µs": own / events * 1e6,
        **{
            f"{place}, bytes": (size - stored[place]) / events
            for place, size in _stored_bytes(loaded.stack.data_dir).items()
        },
    }
    cpu = sum(share for role, share in shares.items() if role != "kafka") * events / 1e6
    return Spent(events, max(times) - began, cpu, figures=figures)


def _stored_bytes(data_dir: Path) -> dict[str, int]:
    places = {"Kafka": (data_dir / "kafka").rglob("*.log"), "SQLite": data_dir.glob("*.db*")}
    return {name: sum(file.stat().st_size for file in files) for name, files in places.items()}


@asynccontextmanager
async def works() -> AsyncIterator[list[Work]]:
    """Give the works of this benchmark."""
    async with loaded_stack() as loaded, _Progress(loaded.stack) as progress:
        await _run(loaded, progress, _RATES[0])
        rates = [
            Candidate(f"{rate:,} events/s", partial(_run, loaded, progress, rate))
            for rate in _RATES
        ]
        yield [Work("Batches of a hundred", rates, warms_up=False)]
