"""A webhook receiver that responds with 410 Gone."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.codec import decode
from schemas.records import Subscription
from schemas.topics import SUBSCRIPTIONS
from tests.e2e.site import Site
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually_async
from tests.integration.sinks.receivers import Receiver, good, receiving

pytestmark = pytest.mark.timeout(240)

GONE = "the receiver answered 410 Gone"
_PARTITIONS = [TopicPartition(SUBSCRIPTIONS.name, partition) for partition in range(4)]


class Payments:
    """Sends payments to a site with a subscription under test and another for comparison."""

    def __init__(
        self, stack: Stack, site: Site, subscription: dict[str, Any], other: Receiver
    ) -> None:
        self._stack = stack
        self._site = site
        self._subscription = subscription
        self._other = other
        self._number = 0

    async def are_evaluated(self) -> bool:
        """Send a payment; return True if the subscription has a delivery when the other has."""
        self._number += 1
        buyer = f"buyer-{self._number}"
        self._site.pay(buyer, 500)
        await eventually_async(
            lambda: buyer in _subjects(self._other), within_seconds=60, what="the other is notified"
        )
        return buyer in _stored_for(self._stack, self._subscription)

    async def are_ignored(self) -> bool:
        """Send a payment; return True if the subscription has no delivery of it."""
        return not await self.are_evaluated()


async def test_a_subscription_with_a_gone_receiver_is_disabled_until_it_is_enabled(
    stack: Stack,
) -> None:
    """In the API, in SQL and in the topic; no delivery is attempted."""
    site, is_gone = Site(stack), asyncio.Event()

    async def behave(_number: int, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=410 if is_gone.is_set() else 204)

    async with receiving(behave) as receiver, receiving(good) as other:
        subscription = await site.subscribe("payment", {"min_amount": 100}, receiver)
        await site.subscribe("payment", {"min_amount": 10}, other)
        await site.probe_until_delivered(receiver, other)
        payments = Payments(stack, site, subscription, other)
        assert await payments.are_evaluated()
        is_gone.set()
        await payments.are_evaluated()
        await _until_disabled(stack, site, subscription)

        count = len(receiver.messages)
        await eventually_async(payments.are_ignored, within_seconds=60, what="it is disabled")
        assert await payments.are_ignored()
        assert len(receiver.messages) == count

        is_gone.clear()
        await site.request("PATCH", _path(subscription), {"enabled": True})
        await eventually_async(
            payments.are_evaluated, within_seconds=60, what="it is enabled again"
        )
        await eventually_async(
            lambda: len(receiver.messages) > count, within_seconds=60, what="it is notified again"
        )


async def _until_disabled(stack: Stack, site: Site, subscription: dict[str, Any]) -> None:
    """Wait until the API has disabled a subscription; check SQL and the topic."""

    async def is_disabled() -> bool:
        return not (await site.request("GET", _path(subscription)))["enabled"]

    await eventually_async(is_disabled, within_seconds=60, what="it is disabled")
    (stored,) = stack.rows("SELECT disabled_reason FROM subscriptions WHERE NOT enabled")
    assert (await site.request("GET", _path(subscription)))["disabled_reason"] == GONE
    assert stored["disabled_reason"] == GONE
    in_topic = await _in_topic(stack, subscription)
    assert in_topic is not None
    assert in_topic.enabled is False


def _path(subscription: dict[str, Any]) -> str:
    return f"/api/subscriptions/{subscription['subscription_id']}"


def _subjects(receiver: Receiver) -> set[str]:
    """Return the sessions of the alerts that a receiver got."""
    subjects = [json.loads(message.body)["data"]["subject"] for message in receiver.messages]
    return {subject.rpartition(":")[2] for subject in subjects}


def _stored_for(stack: Stack, subscription: dict[str, Any]) -> set[str]:
    """Return the sessions of a subscription's deliveries."""
    name = subscription["subscription_id"]
    rows = stack.rows(f"SELECT subject FROM deliveries WHERE subscription_id = '{name}'")  # noqa: S608
    return {row["subject"].rpartition(":")[2] for row in rows}


async def _in_topic(stack: Stack, subscription: dict[str, Any]) -> Subscription | None:
    """Return the last record of a subscription."""
    address = (stack.data_dir / "run" / "kafka.address").read_text().strip()
    latest: dict[bytes, bytes | None] = {}
    async with AIOKafkaConsumer(bootstrap_servers=address) as consumer:
        consumer.assign(_PARTITIONS)
        ends: dict[Any, int] = await consumer.end_offsets(_PARTITIONS)
        for tp in _PARTITIONS:
            consumer.seek(tp, 0)
        while any([await consumer.position(tp) < ends[tp] for tp in _PARTITIONS]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                latest.update({record.key: record.value for record in records})
    value = latest[subscription["subscription_id"].encode()]
    return None if value is None else decode(value, Subscription)
