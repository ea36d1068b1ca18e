"""Subscriptions with receivers of ours, while roles are killed, on both databases."""

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
#: One window holds the whole test, but for one that is run on the hour.
RATE = {"count": 3, "minutes": 60, "per": "site"}
_SLOW_SECONDS = 1.0


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """Give the settings of a stack on each database."""
    private = {"HEADRACE_WEBHOOKS__ALLOW_PRIVATE": "true"}
    if request.param == "sqlite":
        return private
    return {**private, "HEADRACE_DATABASE__URL": request.getfixturevalue("postgres_url")}


async def slow(_number: int, _request: web.Request) -> web.StreamResponse:
    """Take it, but not at once."""
    await asyncio.sleep(_SLOW_SECONDS)
    return web.Response(status=204)


def moody() -> Behave:
    """Return what refuses each message the first time that it comes."""
    seen: set[str] = set()

    async def behave(_number: int, request: web.Request) -> web.StreamResponse:
        name = request.headers["webhook-id"]
        status = 200 if name in seen else 500
        seen.add(name)
        return web.Response(status=status)

    return behave


@dataclass
class Subscriber:
    """A subscription, and the receiver that is its own."""

    subscription: dict[str, Any]
    receiver: Receiver

    @property
    def name(self) -> str:
        """Its id."""
        return str(self.subscription["subscription_id"])

    def alert_ids(self) -> Counter[str]:
        """Return how often each alert came; fails when a signature is not right."""
        secret = self.subscription["secret"]
        bodies = [message.verified(secret) for message in self.receiver.messages]
        assert {body["type"] for body in bodies} <= {"alert.raised"}
        return Counter(body["data"]["alert_id"] for body in bodies)

    def webhook_ids(self) -> set[str]:
        """Return the ids under which alerts came."""
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
    """Give them, in effect; their receivers run as long."""
    async with AsyncExitStack() as receivers:

        async def subscribe(rule: str, params: dict[str, Any], behave: Behave) -> Subscriber:
            receiver = await receivers.enter_async_context(receiving(behave))
            return Subscriber(await site.subscribe(rule, params, receiver), receiver)

        subscribers = Subscribers(
            stuck=await subscribe("payment", {}, hanging),
            large=await subscribe("payment", {"min_amount": 100}, good),
            every=await subscribe("payment", {}, slow),
            euros=await subscribe("payment", {"currency": "EUR"}, moody()),
            burst=await subscribe("error.rate", RATE, good),
        )
        await site.probe_until_delivered(subscribers.large.receiver, subscribers.euros.receiver)
        yield subscribers


async def test_each_alert_is_told_to_each_who_asked_though_roles_are_killed(
    make_stack: MakeStack, settings: dict[str, str]
) -> None:
    """One good, one slow, one that fails for a while, one that hangs; kill -9 of streams and sinks.

    All but the one that hangs have exactly their alerts in the end: it makes nobody wait.
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
        _check_told(stack, subscribers)
        await _check_lists(site, subscribers)
    await asyncio.to_thread(_check_once, stack)


async def _until_delivered(stack: Stack, wanted: Mapping[str, int]) -> None:
    """Wait until these subscriptions have at least so many deliveries, and all are delivered."""

    async def is_delivered() -> bool:
        delivered, others = Counter[str](), Counter[str]()
        query = "SELECT subscription_id, state FROM deliveries"
        for row in await asyncio.to_thread(stack.rows, query):
            of_state = delivered if row["state"] == "delivered" else others
            of_state[str(row["subscription_id"])] += 1
        return all(delivered[name] >= n and not others[name] for name, n in wanted.items())

    await eventually_async(is_delivered, within_seconds=150, what="all is delivered")


def _check_told(stack: Stack, subscribers: Subscribers) -> None:
    """Each was told of its alerts, of all and of no others, signed; repeats have the same id."""
    buyers = {f"buyer-{n}" for n in range(PAYMENTS)}
    assert _told_of(stack, subscribers.large) == {f"buyer-{n}" for n in range(10, PAYMENTS)}
    assert _told_of(stack, subscribers.euros) == _told_of(stack, subscribers.every) == buyers
    for one in (subscribers.large, subscribers.every, subscribers.euros, subscribers.burst):
        assert set(one.alert_ids()) == _alert_ids(stack, one), one.subscription["params"]
        assert len(one.webhook_ids()) == len(one.alert_ids())
    assert min(subscribers.euros.alert_ids().values()) >= 2
    assert set(subscribers.stuck.alert_ids()) <= _alert_ids(stack, subscribers.stuck)
    assert len(subscribers.burst.alert_ids()) == 1  # all errors are within one window


def _rows_for(stack: Stack, one: Subscriber) -> list[dict[str, Any]]:
    """Return the alerts that a subscription wants, as SQL has them."""
    rule, params = one.subscription["rule"], one.subscription["params"]
    own = f"= '{one.name}'" if params and rule != "payment" else "IS NULL"
    rows = stack.rows(
        "SELECT alert_id, subject, event_id, details FROM alerts"  # noqa: S608 - our ids
        f" WHERE rule = '{rule}' AND subscription_id {own}"
    )
    return [row for row in rows if _is_wanted(params, row["details"])]


def _is_wanted(params: Mapping[str, Any], details: Any) -> bool:
    """Return True if an alert is of a payment that the parameters ask for; SQLite has text."""
    found = json.loads(details) if isinstance(details, str) else details
    is_large = float(found.get("amount", 0)) >= params.get("min_amount", float("-inf"))
    return is_large and params.get("currency") in {None, found.get("currency")}


def _alert_ids(stack: Stack, one: Subscriber) -> set[str]:
    return {str(row["alert_id"]) for row in _rows_for(stack, one)}


def _told_of(stack: Stack, one: Subscriber) -> set[str]:
    """Return which of the buyers a subscription has alerts of; fails when one has two."""
    subjects = [row["subject"].rpartition(":")[2] for row in _rows_for(stack, one)]
    assert len(subjects) == len(set(subjects))
    return {subject for subject in subjects if subject.startswith("buyer")}


async def _check_lists(site: Site, subscribers: Subscribers) -> None:
    """Each attempt is listed: those that were refused, and those that nobody answered."""
    of_euros = await site.request("GET", f"/api/subscriptions/{subscribers.euros.name}/deliveries")
    of_stuck = await site.request("GET", f"/api/subscriptions/{subscribers.stuck.name}/deliveries")
    for item in of_euros["items"]:
        statuses = [attempt["status"] for attempt in item["attempts"]]
        assert item["state"] == "delivered"
        assert statuses[-1] == 200
        assert set(statuses[:-1]) <= {500, None}  # None: the process was killed
    assert {item["state"] for item in of_stuck["items"]} == {"pending"}


def _check_once(stack: Stack) -> None:
    """Nothing is in SQL twice: no alert of an event, no delivery of an alert."""
    for table, what in (
        ("alerts", "rule, subject, event_id, subscription_id"),
        ("deliveries", "subscription_id, alert_id"),
    ):
        counted = f"SELECT count(*) AS n FROM {table} GROUP BY {what} HAVING count(*) > 1"  # noqa: S608
        assert stack.rows(counted) == []
