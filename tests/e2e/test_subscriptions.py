"""Delivery to subscribers while roles are killed, on both databases."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from tests.e2e.conftest import MakeStack
from tests.e2e.site import Site
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually_async
from tests.integration.sinks.receivers import Behave, Receiver, good, hanging, receiving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PAYMENTS = 30
#: The window is longer than the test.
RATE = {"count": 3, "minutes": 60, "per": "site"}
_SLOW_SECONDS = 1.0


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """Return the settings of a stack for each database."""
    private = {"HEADRACE_WEBHOOKS__ALLOW_PRIVATE": "true"}
    if request.param == "sqlite":
        return private
    return {**private, "HEADRACE_DATABASE__URL": request.getfixturevalue("postgres_url")}


async def slow(_number: int, _request: web.Request) -> web.StreamResponse:
    """Accept the message after a second."""
    await asyncio.sleep(_SLOW_SECONDS)
    return web.Response(status=204)


def failing_first() -> Behave:
    """Return a receiver that responds with 500 to the first attempt of each message."""
    seen: set[str] = set()

    async def behave(_number: int, request: web.Request) -> web.StreamResponse:
        name = request.headers["webhook-id"]
        status = 200 if name in seen else 500
        seen.add(name)
        return web.Response(status=status)

    return behave


@dataclass
class Subscriber:
    """A subscription with its receiver."""

    subscription: dict[str, Any]
    receiver: Receiver

    @property
    def name(self) -> str:
        """Its id."""
        return str(self.subscription["subscription_id"])

    def alert_ids(self) -> Counter[str]:
        """Return the number of messages per alert; fails if a signature is invalid."""
        secret = self.subscription["secret"]
        bodies = [message.verified(secret) for message in self.receiver.messages]
        assert {body["type"] for body in bodies} <= {"alert.raised"}
        return Counter(body["data"]["alert_id"] for body in bodies)

    def webhook_ids(self) -> set[str]:
        """Return the webhook ids of the messages."""
        return {message.headers["webhook-id"] for message in self.receiver.messages}


class Subscribers(NamedTuple):
    """The subscriptions of the test."""

    stuck: Subscriber
    large: Subscriber
    every: Subscriber
    euros: Subscriber
    burst: Subscriber


@asynccontextmanager
async def subscribed(site: Site) -> AsyncIterator[Subscribers]:
    """Yield the subscriptions when they are in effect; receivers run during the block."""
    async with AsyncExitStack() as receivers:

        async def subscribe(rule: str, params: dict[str, Any], behave: Behave) -> Subscriber:
            receiver = await receivers.enter_async_context(receiving(behave))
            return Subscriber(await site.subscribe(rule, params, receiver), receiver)

        subscribers = Subscribers(
            stuck=await subscribe("payment", {}, hanging),
            large=await subscribe("payment", {"min_amount": 100}, good),
            every=await subscribe("payment", {}, slow),
            euros=await subscribe("payment", {"currency": "EUR"}, failing_first()),
            burst=await subscribe("error.rate", RATE, good),
        )
        await site.probe_until_delivered(subscribers.large.receiver, subscribers.euros.receiver)
        yield subscribers


async def test_each_alert_is_delivered_to_its_subscribers_although_roles_are_killed(
    make_stack: MakeStack, settings: dict[str, str]
) -> None:
    """One receiver is slow, one fails at first, one hangs; streams and sinks are killed.

    All receivers but the hanging one get exactly their alerts; it does not delay the others.
    """
    stack = await asyncio.to_thread(make_stack, settings)
    site = Site(stack)
    async with subscribed(site) as subscribers:
        for number in range(PAYMENTS):
            site.pay(f"buyer-{number}", 50 + 5 * number)
            site.fail(f"buyer-{number}", f"E{number}")
            if number in {8, 16}:
                await asyncio.to_thread(stack.kill, "streams" if number == 8 else "sinks")
        await _until_delivered(
            stack,
            {
                subscribers.large.name: 20,
                subscribers.every.name: PAYMENTS,
                subscribers.euros.name: PAYMENTS,
                subscribers.burst.name: 1,
            },
        )
        _check_delivered(stack, subscribers)
        await _check_lists(site, subscribers)
    await asyncio.to_thread(_check_once, stack)


async def _until_delivered(stack: Stack, wanted: Mapping[str, int]) -> None:
    """Wait until subscriptions have the given number of deliveries, and none is pending."""

    async def is_delivered() -> bool:
        delivered, others = Counter[str](), Counter[str]()
        query = "SELECT subscription_id, state FROM deliveries"
        for row in await asyncio.to_thread(stack.rows, query):
            of_state = delivered if row["state"] == "delivered" else others
            of_state[str(row["subscription_id"])] += 1
        return all(delivered[name] >= n and not others[name] for name, n in wanted.items())

    await eventually_async(is_delivered, within_seconds=150, what="all alerts are delivered")


def _check_delivered(stack: Stack, subscribers: Subscribers) -> None:
    """Each receiver got exactly its alerts, signed; repeats have the same id."""
    buyers = {f"buyer-{n}" for n in range(PAYMENTS)}
    assert _buyers_of(stack, subscribers.large) == {f"buyer-{n}" for n in range(10, PAYMENTS)}
    assert _buyers_of(stack, subscribers.euros) == _buyers_of(stack, subscribers.every) == buyers
    for subscriber in (
        subscribers.large,
        subscribers.every,
        subscribers.euros,
        subscribers.burst,
    ):
        assert set(subscriber.alert_ids()) == _alert_ids(stack, subscriber), (
            subscriber.subscription["params"]
        )
        assert len(subscriber.webhook_ids()) == len(subscriber.alert_ids())
    assert min(subscribers.euros.alert_ids().values()) >= 2
    assert set(subscribers.stuck.alert_ids()) <= _alert_ids(stack, subscribers.stuck)
    assert len(subscribers.burst.alert_ids()) == 1  # all errors are within one window


def _rows_for(stack: Stack, subscriber: Subscriber) -> list[dict[str, Any]]:
    """Return the alerts in SQL that match a subscription."""
    rule, params = subscriber.subscription["rule"], subscriber.subscription["params"]
    own = f"= '{subscriber.name}'" if params and rule != "payment" else "IS NULL"
    rows = stack.rows(
        "SELECT alert_id, subject, event_id, details FROM alerts"  # noqa: S608 - our ids
        f" WHERE rule = '{rule}' AND subscription_id {own}"
    )
    return [row for row in rows if _is_wanted(params, row["details"])]


def _is_wanted(params: Mapping[str, Any], details: Any) -> bool:
    """Return True if an alert matches the parameters; `details` is text in SQLite."""
    fields = json.loads(details) if isinstance(details, str) else details
    is_large = float(fields.get("amount", 0)) >= params.get("min_amount", float("-inf"))
    return is_large and params.get("currency") in {None, fields.get("currency")}


def _alert_ids(stack: Stack, subscriber: Subscriber) -> set[str]:
    return {str(row["alert_id"]) for row in _rows_for(stack, subscriber)}


def _buyers_of(stack: Stack, subscriber: Subscriber) -> set[str]:
    """Return the buyers of a subscription's alerts; fails if there are duplicates."""
    subjects = [row["subject"].rpartition(":")[2] for row in _rows_for(stack, subscriber)]
    assert len(subjects) == len(set(subjects))
    return {subject for subject in subjects if subject.startswith("buyer")}


async def _check_lists(site: Site, subscribers: Subscribers) -> None:
    """Each attempt is listed, including failed ones and those without a response."""
    of_euros = await site.request("GET", f"/api/subscriptions/{subscribers.euros.name}/deliveries")
    of_stuck = await site.request("GET", f"/api/subscriptions/{subscribers.stuck.name}/deliveries")
    for item in of_euros["items"]:
        statuses = [attempt["status"] for attempt in item["attempts"]]
        assert item["state"] == "delivered"
        assert statuses[-1] == 200
        assert set(statuses[:-1]) <= {500, None}  # None: the process was killed
    assert {item["state"] for item in of_stuck["items"]} == {"pending"}


def _check_once(stack: Stack) -> None:
    """Check that SQL has no duplicate alert of an event and no duplicate delivery of an alert."""
    for table, what in (
        ("alerts", "rule, subject, event_id, subscription_id"),
        ("deliveries", "subscription_id, alert_id"),
    ):
        counted = f"SELECT count(*) AS n FROM {table} GROUP BY {what} HAVING count(*) > 1"  # noqa: S608
        assert stack.rows(counted) == []
