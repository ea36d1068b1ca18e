"""A receiver that answers 410, in a whole headrace."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.codec import decode
from schemas.records import Subscription
from schemas.topics import SUBSCRIPTIONS
from tests.e2e.conftest import MakeStack
from tests.e2e.site import Site
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually_async
from tests.integration.sinks.receivers import Receiver, good, receiving

pytestmark = pytest.mark.timeout(240)

GONE = "the receiver answered 410 Gone"
_PLACES = [TopicPartition(SUBSCRIPTIONS.name, partition) for partition in range(4)]


class Payments:
    """Payments at a site, of which one subscription is told, and another for comparison."""

    def __init__(self, stack: Stack, site: Site, one: dict[str, Any], other: Receiver) -> None:
        self._stack = stack
        self._site = site
        self._one = one
        self._other = other
        self._number = 0

    async def are_evaluated(self) -> bool:
        """Pay, and tell whether the one has a delivery of it when the other has its own."""
        self._number += 1
        buyer = f"buyer-{self._number}"
        self._site.pay(buyer, 500)
        await eventually_async(
            lambda: buyer in _subjects(self._other), within_seconds=60, what="the other is told"
        )
        return buyer in _stored_for(self._stack, self._one)

    async def are_left_out(self) -> bool:
        """Pay, and tell whether the one has no delivery of it."""
        return not await self.are_evaluated()


async def test_one_who_says_gone_is_off_everywhere_until_it_is_turned_on(
    make_stack: MakeStack,
) -> None:
    """In the answer to GET, in SQL and in the topic, so that nothing is delivered any more."""
    stack = await asyncio.to_thread(make_stack, {"HEADRACE_WEBHOOKS__ALLOW_PRIVATE": "true"})
    site, is_gone = Site(stack), asyncio.Event()

    async def behave(_number: int, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=410 if is_gone.is_set() else 204)

    async with receiving(behave) as receiver, receiving(good) as other:
        one = await site.subscribe("payment", {"min_amount": 100}, receiver)
        await site.subscribe("payment", {"min_amount": 10}, other)
        await site.probe_until_delivered(receiver, other)
        payments = Payments(stack, site, one, other)
        assert await payments.are_evaluated()
        is_gone.set()
        await payments.are_evaluated()
        await _until_off(stack, site, one)

        told = len(receiver.messages)
        await eventually_async(payments.are_left_out, within_seconds=60, what="it is off")
        assert await payments.are_left_out()
        assert len(receiver.messages) == told

        is_gone.clear()
        await site.request("PATCH", _path(one), {"enabled": True})
        await eventually_async(payments.are_evaluated, within_seconds=60, what="it is on again")
        await eventually_async(
            lambda: len(receiver.messages) > told, within_seconds=60, what="it is told again"
        )


async def _until_off(stack: Stack, site: Site, one: dict[str, Any]) -> None:
    """Wait until a subscription is off for who asks; then it is so in SQL and in the topic."""

    async def is_off() -> bool:
        return not (await site.request("GET", _path(one)))["enabled"]

    await eventually_async(is_off, within_seconds=60, what="it is off")
    (stored,) = stack.rows("SELECT disabled_reason FROM subscriptions WHERE NOT enabled")
    assert (await site.request("GET", _path(one)))["disabled_reason"] == GONE
    assert stored["disabled_reason"] == GONE
    in_topic = await _in_topic(stack, one)
    assert in_topic is not None
    assert in_topic.enabled is False


def _path(one: dict[str, Any]) -> str:
    return f"/api/subscriptions/{one['subscription_id']}"


def _subjects(receiver: Receiver) -> set[str]:
    """Return which sessions a receiver was told of."""
    subjects = [json.loads(message.body)["data"]["subject"] for message in receiver.messages]
    return {subject.rpartition(":")[2] for subject in subjects}


def _stored_for(stack: Stack, one: dict[str, Any]) -> set[str]:
    """Return which sessions a subscription has deliveries of."""
    name = one["subscription_id"]
    rows = stack.rows(f"SELECT subject FROM deliveries WHERE subscription_id = '{name}'")  # noqa: S608
    return {row["subject"].rpartition(":")[2] for row in rows}


async def _in_topic(stack: Stack, one: dict[str, Any]) -> Subscription | None:
    """Return the last record of a subscription."""
    address = (stack.data_dir / "run" / "kafka.address").read_text().strip()
    found: dict[bytes, bytes | None] = {}
    async with AIOKafkaConsumer(bootstrap_servers=address) as consumer:
        consumer.assign(_PLACES)
        ends: dict[Any, int] = await consumer.end_offsets(_PLACES)
        for place in _PLACES:
            consumer.seek(place, 0)
        while any([await consumer.position(place) < ends[place] for place in _PLACES]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found.update({record.key: record.value for record in records})
    value = found[one["subscription_id"].encode()]
    return None if value is None else decode(value, Subscription)
