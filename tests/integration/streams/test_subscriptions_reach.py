"""Two stream workers, and subscriptions that are created, changed and deleted."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.partitioner import murmur2

from headrace.admin.topics import create_topics
from headrace.roles.status import why_not_ready
from schemas.codec import decode, encode
from schemas.headers import EVENT_ID, TYPE
from schemas.kafka_settings import KafkaSettings
from schemas.records import Alert
from schemas.topic_prefix import prefixed
from schemas.topics import ALERTS, EVENTS_RAW
from sinks.delivery.publisher import Publish, open_publisher
from streams.app import APP_ID
from streams.engine.global_table import GlobalTable
from tests.fixtures.waiting import eventually_async
from tests.unit.streams import samples
from tests.unit.streams.subscribed import subscription

pytestmark = pytest.mark.timeout(180)

PARTITIONS = 2
#: One site for each partition of `events-alert`, and so for each worker.
SITES = [
    next(
        name
        for name in (f"shop-{number}" for number in count())
        if (murmur2(name.encode()) & 0x7FFFFFFF) % PARTITIONS == partition
    )
    for partition in range(PARTITIONS)
]


@pytest.fixture
async def bootstrap(kafka: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[str]:
    """Yield the address of a broker with two workers, which have a partition each."""
    await create_topics(KafkaSettings(bootstrap_servers=kafka, partitions=PARTITIONS))
    workers = [start(kafka, topic_prefix, tmp_path / f"streams-{n}.json") for n in range(2)]
    try:
        await eventually_async(
            lambda: have_one_each(kafka, tmp_path),
            within_seconds=90,
            what="both workers have a partition",
        )
        yield kafka
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def start(bootstrap: str, prefix: str, status: Path) -> subprocess.Popen[bytes]:
    """Start a worker of the role `streams`."""
    environment = {
        **os.environ,
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "HEADRACE_KAFKA__PARTITIONS": str(PARTITIONS),
        "HEADRACE_KAFKA__TOPIC_PREFIX": prefix,
    }
    argv = [sys.executable, "-m", "headrace", "streams", "--status-file", str(status)]
    with status.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(argv, env=environment, stdout=log, stderr=subprocess.STDOUT)


async def have_one_each(bootstrap: str, folder: Path) -> bool:
    """Return True if both workers are ready, and the group is stable with both as members."""
    if any(why_not_ready(folder / f"streams-{number}.json") for number in range(2)):
        return False
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (described,) = await admin.describe_consumer_groups([prefixed(APP_ID)])
        (_, _, state, _, _, members, *_) = described.groups[0]
    finally:
        await admin.close()
    return state == "Stable" and len(members) == 2


class Shop:
    """Both sites: their errors and payments, and the alerts."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._numbers = count()
        self._alerts: dict[str, set[str | None]] = {}

    def note(self, _key: bytes | None, value: bytes | None) -> None:
        """Store the subscription of an alert by its event."""
        alert = decode(value or b"", Alert)
        self._alerts.setdefault(alert.event_id or "", set()).add(alert.subscription_id)

    async def asked_for(self, errors: int) -> list[bool]:
        """Send an error to each site; return the sites where a subscription had an alert."""
        found = []
        for site_id in SITES:
            name = f"E{next(self._numbers)}"
            failed = [await self._send(site_id, "error", error_name=name) for _ in range(errors)]
            after = await self._send(site_id, "payment", amount=Decimal(1))
            # Alerts of a site are in order of their events.
            await eventually_async(
                partial(self._alerts.get, after), within_seconds=60, what="the payment's alert"
            )
            found.append(any(self._alerts.get(one, set()) - {None} for one in failed))
        return found

    async def _send(self, site_id: str, kind: str, **fields: Any) -> str:
        event = samples.event(("e", next(self._numbers)), site_id=site_id, type=kind, **fields)
        headers = [(EVENT_ID, UUID(event.event_id).bytes), (TYPE, kind.encode())]
        key = f"{site_id}:{event.session_id}".encode()
        await self._producer.send_and_wait(EVENTS_RAW.name, encode(event), key, headers=headers)
        return event.event_id


@asynccontextmanager
async def open_shop(bootstrap: str) -> AsyncIterator[tuple[Shop, Publish]]:
    """Yield the sites and the publisher of subscriptions."""
    kafka = KafkaSettings(bootstrap_servers=bootstrap)
    async with (
        AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer,
        open_publisher(kafka) as publish,
    ):
        shop = Shop(producer)
        follower = GlobalTable(
            KafkaSettings(bootstrap_servers=bootstrap), ALERTS.name, PARTITIONS, shop.note
        )
        following = asyncio.create_task(follower.run())
        try:
            yield shop, publish
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following


async def test_all_workers_apply_changes_of_subscriptions(
    bootstrap: str,
) -> None:
    """Each worker has one of two sites, with a subscription for each."""
    async with open_shop(bootstrap) as (shop, publish):

        async def put(at: int, params: dict[str, object] | None) -> None:
            for site_id in SITES:
                made = subscription(
                    site_id, "error.rate", params or {}, site_id=site_id, updated_at=at
                )
                await publish(made.subscription_id, None if params is None else made)

        async def until(errors: int, expected: bool, what: str) -> None:
            async def is_so() -> bool:
                return await shop.asked_for(errors) == [expected] * len(SITES)

            await eventually_async(is_so, within_seconds=30, what=what)

        assert await shop.asked_for(3) == [False, False]
        await put(1, {"count": 3})
        await until(3, True, "what is new is in effect")
        assert await shop.asked_for(1) == [False, False]
        await put(2, {"count": 1})
        await until(1, True, "what was changed is in effect")
        await put(3, None)
        await until(3, False, "what was deleted is not")
