"""A steady load with a ledger, which Kafka and SQL are compared with."""

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
#: Longer than the server's deadline.
_TIMEOUT = aiohttp.ClientTimeout(total=30)
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
#: The status of requests without a response.
UNANSWERED = 0


class SentRequest(NamedTuple):
    """A request of the ledger, with monotonic times; its event has a unique path."""

    path: str
    status: int
    sent: float
    answered: float


class Load:
    """Sends events at a rate and records each response."""

    def __init__(self, url: str, rate: float) -> None:
        self.ledger: list[SentRequest] = []
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
        """Return the number of requests with this status."""
        return sum(answered.status == status for answered in self.ledger)

    def accepts_all(self, last: int) -> bool:
        """Return True if the last `last` requests were all accepted."""
        return all(answered.status == ACCEPTED for answered in self.ledger[-last:])

    async def more(self, count: int, status: int = ACCEPTED) -> None:
        """Wait for `count` more requests with this status."""
        before = self.count(status)
        await eventually_async(
            lambda: self.count(status) >= before + count,
            within_seconds=120,
            what=f"{count} more responses with {status}",
        )

    async def _run(self) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as client:
            in_flight: set[asyncio.Task[None]] = set()
            number = 0
            started_at = time.monotonic()
            while not self._ending.is_set():
                task = asyncio.create_task(self._send(client, number))
                in_flight.add(task)
                task.add_done_callback(in_flight.discard)
                number += 1
                await asyncio.sleep(started_at + number / self._rate - time.monotonic())
            await asyncio.gather(*in_flight)

    async def _send(self, client: aiohttp.ClientSession, number: int) -> None:
        path = f"/{number}"
        event = {"type": "copy", "site_id": "shop", "session_id": f"s-{number % SESSIONS}"}
        if number % 2:
            event["event_id"] = str(uuid4())  # the server assigns the other ids
        sent = time.monotonic()
        try:
            async with client.post(self._url, json={**event, "path": path}) as response:
                await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError):
            status = UNANSWERED
        self.ledger.append(SentRequest(path, status, sent, time.monotonic()))


def log_summary(name: str, ledger: list[SentRequest], since: float, repeats: int) -> None:
    """Log the clients' view from `since` on, and the number of duplicate records in Kafka."""
    requests = [request for request in ledger if request.answered >= since]
    failed = [request for request in requests if request.status != ACCEPTED]
    acked = sorted(request.answered for request in requests if request.status == ACCEPTED)
    gaps = [later - earlier for earlier, later in zip([since, *acked], acked, strict=False)]
    last = max((request.answered - since for request in failed), default=0.0)
    slowest = max(request.answered - request.sent for request in requests)
    _log.info(
        "%s: %d requests in %.0f s, %d not accepted (%.2f %%), the last %.1f s after the fault; "
        "longest without an ack %.1f s; slowest response %.1f s; statuses %s; "
        "%d repeated records in Kafka",
        name,
        len(requests),
        requests[-1].answered - since,
        len(failed),
        100 * len(failed) / len(requests),
        last,
        max(gaps),
        slowest,
        dict(Counter(request.status for request in requests)),
        repeats,
    )


async def records_of(kafka: str) -> list[str]:
    """Return the event ids of all records of `events-raw`, without punctuation records."""
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
    """Check SQL against the ledger; return the number of duplicates in Kafka."""
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
    rejected = {answered.path for answered in ledger if 400 <= answered.status < 500}
    assert not rejected & paths.keys(), "rejected, and stored"
    assert paths.keys() <= {answered.path for answered in ledger}
    assert _rows(database, _EVENTS_OF_SESSIONS) == _rows(database, _SUMS_OF_SESSIONS)
    return len(in_kafka) - len(set(in_kafka))


def _rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return list(connection.execute(query))
    finally:
        connection.close()
