"""Three subscriptions with receivers of ours, while roles are killed."""

import asyncio
import json
import urllib.request
from typing import Any

import pytest

from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually_async
from tests.integration.sinks.receivers import Receiver, failing, good, hanging, receiving

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

PAYMENTS = 30


async def test_each_alert_is_told_to_each_who_asked_though_roles_are_killed(
    make_stack: MakeStack,
) -> None:
    """One good, one that hangs, one that fails for a while; kill -9 of streams and sinks."""
    stack = await asyncio.to_thread(make_stack, {"HEADRACE_WEBHOOKS__ALLOW_PRIVATE": "true"})
    async with (
        receiving(good) as fine,
        receiving(hanging) as slow,
        receiving(failing(1, 500)) as moody,
    ):
        large = await _subscribe(stack, "payment", {"min_amount": 100}, fine)
        every = await _subscribe(stack, "payment", {}, slow)
        burst = await _subscribe(stack, "error.rate", {"count": 3, "per": "site"}, moody)
        await _until_in_effect(stack, fine)

        for number in range(PAYMENTS):
            _pay(stack, number, 50 + 5 * number)
            _fail(stack, number)
            if number in {8, 16}:
                await asyncio.to_thread(stack.kill, "streams" if number == 8 else "sinks")
        wanted = 20  # of 100 and more
        await eventually_async(
            lambda: len(set(_large(fine))) == wanted, within_seconds=90, what="all are told"
        )
        await eventually_async(
            lambda: len(moody.messages) > 1, within_seconds=60, what="what failed is told again"
        )

        assert set(_large(fine)) == {50.0 + 5 * n for n in range(10, PAYMENTS)}
        for receiver, one in ((fine, large), (slow, every), (moody, burst)):
            for message in receiver.messages:
                assert message.verified(one["secret"])["data"]["site_id"] == "shop"
        alert_ids = [row["alert_id"] for row in stack.rows("SELECT alert_id FROM alerts")]
        assert len(alert_ids) == len(set(alert_ids))
        counted = stack.rows(
            "SELECT count(*) AS n, count(DISTINCT event_id) AS events FROM alerts"
            " WHERE rule = 'payment' AND subscription_id IS NULL AND subject LIKE 'buyer-%'"
        )
        assert counted == [{"n": PAYMENTS, "events": PAYMENTS}]
        assert stack.rows(
            "SELECT count(*) AS n FROM alerts WHERE rule = 'error.rate' AND"
            " subscription_id IS NOT NULL"
        ) in ([{"n": 1}], [{"n": 2}])
        listed = await _ask(
            stack, "GET", f"/api/subscriptions/{large['subscription_id']}/deliveries"
        )
        assert {item["state"] for item in listed["items"]} == {"delivered"}


async def _until_in_effect(stack: Stack, fine: Receiver) -> None:
    """Pay until the subscription is evaluated."""

    async def is_told() -> bool:
        _pay(stack, -1, 1_000)
        await asyncio.sleep(0.2)
        return bool(fine.messages)

    await eventually_async(is_told, within_seconds=30, what="the subscription is in effect")


def _large(receiver: Receiver) -> list[float]:
    amounts = []
    for message in receiver.messages:
        data = json.loads(message.body)["data"]
        if data["details"]["amount"] != "1000.00":
            amounts.append(float(data["details"]["amount"]))
    return amounts


def _pay(stack: Stack, number: int, amount: float) -> None:
    event = {"type": "payment", "amount": amount, "currency": "EUR"}
    _post(stack, {**event, "session_id": f"buyer-{number}" if number >= 0 else "probe"})


def _fail(stack: Stack, number: int) -> None:
    _post(stack, {"type": "error", "error_name": f"E{number}", "session_id": "s"})


def _post(stack: Stack, event: dict[str, Any]) -> None:
    assert stack.post({"site_id": "shop", **event})[0] == 202


async def _subscribe(
    stack: Stack, rule: str, params: dict[str, Any], receiver: Receiver
) -> dict[str, Any]:
    channel = {"type": "webhook", "url": receiver.url}
    body = {"site_id": "shop", "rule": rule, "params": params, "channel": channel}
    return await _ask(stack, "POST", "/api/subscriptions", body)


async def _ask(stack: Stack, method: str, path: str, body: object = None) -> dict[str, Any]:
    token = (stack.data_dir / "owner.token").read_text().strip()
    content = None if body is None else json.dumps(body).encode()

    def ask() -> dict[str, Any]:
        request = urllib.request.Request(stack.url + path, content, method=method)  # noqa: S310
        request.add_header("Authorization", f"Bearer {token}")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310 - ours
            found: dict[str, Any] = json.load(answer)
            return found

    return await asyncio.to_thread(ask)
