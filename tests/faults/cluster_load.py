"""A steady load, its ledger, and what Kafka and SQL must hold of it."""

import asyncio
import logging
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple, Self
from uuid import UUID, uuid4

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.event_types import TICK
from schemas.headers import EVENT_ID, TYPE, find
from schemas.topics import EVENTS_RAW
from tests.faults.cluster import Cluster
from tests.faults.cluster_roles import PARTITIONS, Roles
from tests.fixtures.waiting import eventually_async

_log = logging.getLogger(__name__)

SESSIONS = 40
#: Longer than the server may take.
_PATIENCE = aiohttp.ClientTimeout(total=30)
_QUIET_SECONDS = 120

_EVENTS_OF_SESSIONS = """
SELECT site_id, session_id, count(*) FROM events GROUP BY site_id, session_id ORDER BY 1, 2
"""
_SUMS_OF_SESSIONS = """
SELECT site_id, session_id, sum(events) FROM sessions WHERE state != 'withdrawn'
GROUP BY site_id, session_id ORDER BY 1, 2
"""

ACCEPTED = 202
NOT_ACCEPTED = 500
#: The ledger's word for a request that got no answer at all.
UNANSWERED = 0


class Answered(NamedTuple):
    """A request of the ledger, by the clock of this process; its event has a path of its own."""

    path: str
    status: int
    sent: float
    answered: float


class Load:
    """Sends events at a rate, whatever becomes of them, and notes each one's answer."""

    def __init__(self, url: str, rate: float) -> None:
        self.ledger: list[Answered] = []
        self._url = url
        self._rate = rate
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending.set()
        assert self._task is not None
        await self._task

    def count(self, status: int) -> int:
        """Return how many requests were answered so."""
        return sum(answered.status == status for answered in self.ledger)

    def accepts_all(self, last: int) -> bool:
        """Return whether as many as that were accepted, and nothing else happened meanwhile."""
        return all(answered.status == ACCEPTED for answered in self.ledger[-last:])

    async def more(self, count: int, status: int = ACCEPTED) -> None:
        """Wait until so many more requests were answered so."""
        before = self.count(status)
        await eventually_async(
            lambda: self.count(status) >= before + count,
            within_seconds=120,
            what=f"{count} more answers with {status}",
        )

    async def _run(self) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=_PATIENCE) as client:
            under_way: set[asyncio.Task[None]] = set()
            number = 0
            began = time.monotonic()
            while not self._ending.is_set():
                task = asyncio.create_task(self._send(client, number))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                number += 1
                await asyncio.sleep(began + number / self._rate - time.monotonic())
            await asyncio.gather(*under_way)

    async def _send(self, client: aiohttp.ClientSession, number: int) -> None:
        path = f"/{number}"
        event = {"type": "copy", "site_id": "shop", "session_id": f"s-{number % SESSIONS}"}
        if number % 2:
            event["event_id"] = str(uuid4())  # the others have the server's
        sent = time.monotonic()
        try:
            async with client.post(self._url, json={**event, "path": path}) as answer:
                await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError):
            status = UNANSWERED
        self.ledger.append(Answered(path, status, sent, time.monotonic()))


def tell(name: str, ledger: list[Answered], since: float, repeats: int) -> None:
    """Log what the clients saw from `since` on, and how many records are in Kafka twice."""
    seen = [answered for answered in ledger if answered.answered >= since]
    failed = [answered for answered in seen if answered.status != ACCEPTED]
    acked = sorted(answered.answered for answered in seen if answered.status == ACCEPTED)
    gaps = [later - earlier for earlier, later in zip([since, *acked], acked, strict=False)]
    last = max((answered.answered - since for answered in failed), default=0.0)
    slowest = max(answered.answered - answered.sent for answered in seen)
    _log.info(
        "%s: %d requests in %.0f s, %d not accepted (%.2f %%), the last %.1f s after the fault; "
        "longest without an ack %.1f s; slowest answer %.1f s; statuses %s; "
        "%d repeated records in Kafka",
        name,
        len(seen),
        seen[-1].answered - since,
        len(failed),
        100 * len(failed) / len(seen),
        last,
        max(gaps),
        slowest,
        dict(Counter(answered.status for answered in seen)),
        repeats,
    )


async def records_of(kafka: str) -> list[str]:
    """Return the event ids of all records of `events-raw`, repeats included; no ticks."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    ids = []
    try:
        partitions = [TopicPartition(EVENTS_RAW.name, number) for number in range(PARTITIONS)]
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        while any([await consumer.position(part) < ends[part] for part in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                ids += [
                    str(UUID(bytes=find(record.headers, EVENT_ID)))
                    for record in records
                    if find(record.headers, TYPE) != TICK.encode()
                ]
    finally:
        await consumer.stop()
    return ids


async def check(load: Load, cluster: Cluster, roles: Roles) -> int:
    """Assert that SQL comes to just what the ledger allows; return the repeats in Kafka."""
    ledger, database = load.ledger, roles.database
    in_kafka = await records_of(cluster.bootstrap)

    def is_quiet() -> bool:
        ((stored,),) = _rows(database, "SELECT count(*) FROM events")
        counted = sum(count for _, _, count in _rows(database, _SUMS_OF_SESSIONS))
        return bool(stored == counted == len(set(in_kafka)))

    await eventually_async(is_quiet, within_seconds=_QUIET_SECONDS, what="SQL has all of Kafka")
    stored = _rows(database, "SELECT event_id, path FROM events")
    assert {event_id for event_id, _ in stored} == set(in_kafka)
    paths = Counter(path for _, path in stored)
    assert paths.total() == len(paths), "one event is stored twice"
    lost = {answered.path for answered in ledger if answered.status == ACCEPTED} - paths.keys()
    assert not lost, "acknowledged, and not stored"
    refused = {answered.path for answered in ledger if 400 <= answered.status < 500}
    assert not refused & paths.keys(), "refused, and stored"
    assert paths.keys() <= {answered.path for answered in ledger}
    assert _rows(database, _EVENTS_OF_SESSIONS) == _rows(database, _SUMS_OF_SESSIONS)
    return len(in_kafka) - len(set(in_kafka))


def _rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return list(connection.execute(query))
    finally:
        connection.close()
