import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import NamedTuple, Self
from uuid import UUID, uuid4

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from headrace.admin.topics import create_topics
from headrace.local.broker.local_kafka import LocalKafka
from schemas.headers import EVENT_ID, find
from schemas.kafka_settings import KafkaSettings
from schemas.topics import EVENTS_RAW
from tests.fixtures.waiting import eventually_async
from tests.integration.producer_api.serving import Role, responds_ok, running

DEADLINE_SECONDS = 4
WORKERS = 60


class Sent(NamedTuple):
    """One request of the ledger."""

    event_id: str
    status: int


class Load:
    """Workers that send events continuously and record the responses in a ledger."""

    def __init__(self, url: str) -> None:
        self.ledger: list[Sent] = []
        self._client = httpx.AsyncClient(
            base_url=url, timeout=30, limits=httpx.Limits(max_connections=WORKERS)
        )
        self._workers: list[asyncio.Task[None]] = []
        self._ending = False

    async def __aenter__(self) -> Self:
        self._workers = [asyncio.create_task(self._send(n)) for n in range(WORKERS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending = True
        await asyncio.gather(*self._workers)
        await self._client.aclose()

    async def more(self, status: int, count: int) -> None:
        """Wait for `count` more responses with this status."""
        before = self.count(status)
        await eventually_async(
            lambda: self.count(status) >= before + count,
            within_seconds=60,
            what=f"{count} more responses with {status}",
        )

    def count(self, status: int) -> int:
        """Return the number of responses with this status."""
        return sum(answered.status == status for answered in self.ledger)

    async def _send(self, worker: int) -> None:
        while not self._ending:
            event_id = str(uuid4())
            event = {"type": "copy", "site_id": "shop", "session_id": f"s-{worker}"}
            response = await self._client.post("/api/event", json={**event, "event_id": event_id})
            self.ledger.append(Sent(event_id, response.status_code))


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[LocalKafka]:
    """Yield a new broker with the topics."""
    with LocalKafka(tmp_path / "kafka") as broker:
        await create_topics(KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=4))
        yield broker


async def stored_ids(kafka: str) -> set[str]:
    """Read the ids of all records of `events-raw`."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    ids = set()
    try:
        partitions = [TopicPartition(EVENTS_RAW.name, partition) for partition in range(4)]
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        while any([await consumer.position(part) < ends[part] for part in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                ids |= {str(UUID(bytes=find(record.headers, EVENT_ID))) for record in records}
    finally:
        await consumer.stop()
    return ids


async def until_ready(role: Role) -> None:
    """Wait until the role is ready."""

    def ready() -> bool | Awaitable[bool]:
        return asyncio.to_thread(responds_ok, role, "/readyz")

    await eventually_async(ready, within_seconds=20, what="the role is ready")


@pytest.mark.slow
async def test_killing_the_broker_loses_no_confirmed_event(
    broker: LocalKafka, tmp_path: Path
) -> None:
    """No request hangs (the client would raise), and events are accepted after the restart."""
    with running(broker.bootstrap, tmp_path, DEADLINE_SECONDS=str(DEADLINE_SECONDS)) as role:
        await until_ready(role)
        async with Load(role.url) as load:
            await load.more(202, 500)
            broker.process.kill()
            broker.process.wait()
            await load.more(500, WORKERS)
            assert not await asyncio.to_thread(responds_ok, role, "/readyz")

            broker.start()
            await asyncio.to_thread(broker.wait_ready)
            await load.more(202, 500)
        await until_ready(role)

    confirmed = {answered.event_id for answered in load.ledger if answered.status == 202}
    assert {answered.status for answered in load.ledger} == {202, 500}
    lost = confirmed - await stored_ids(broker.bootstrap)
    assert not lost
