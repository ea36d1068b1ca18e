"""Forged payments at the same time as real ones of another site."""

import asyncio
import json
import time
import urllib.request
from typing import Any

import pytest

from tests.e2e.conftest import MakeStack
from tests.e2e.site import Site
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually_async
from tests.integration.sinks.receivers import Receiver, good, receiving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

FORGED = 10_000
REAL = 20
PER_MINUTE = 100
SETTINGS = {
    "HEADRACE_WEBHOOKS__ALLOW_PRIVATE": "true",
    "HEADRACE_WEBHOOKS__DIGEST_SECONDS": "10",
}


async def test_10000_forged_payments_become_few_messages_and_delay_no_other(
    make_stack: MakeStack,
) -> None:
    """Each forged payment is delivered or counted once; real ones are delivered in seconds."""
    stack = await asyncio.to_thread(make_stack, SETTINGS)
    site = Site(stack)
    async with receiving(good) as flooded, receiving(good) as real:
        secret = await _subscribe(site, "flooded", flooded, cooldown_seconds=1)
        await _subscribe(site, "real", real, cooldown_seconds=0)
        started_at = time.monotonic()
        for start in range(0, FORGED, 500):
            await _pay(stack, "flooded", [f"forged-{n}" for n in range(start, start + 500)])
        waits = [await _delivery_seconds(stack, real, f"real-{n}") for n in range(REAL)]

        def is_complete() -> bool:
            return sum(_counted(flooded, secret)) >= FORGED

        await eventually_async(is_complete, within_seconds=180, what="all are delivered or counted")
        minutes = (time.monotonic() - started_at) / 60
        (single, counted) = _counted(flooded, secret)
    (row,) = await asyncio.to_thread(
        stack.rows, "SELECT count(*) AS n FROM alerts WHERE site_id = 'flooded'"
    )
    assert row["n"] == FORGED
    # Repeats have the same webhook-id and are counted once.
    assert single + counted == FORGED
    assert single <= PER_MINUTE * (minutes + 1)
    # The first real payment waits until the forged ones are processed, later ones do not.
    assert sorted(waits)[REAL // 2] < 5, waits
    assert max(waits) < 30, waits


async def _subscribe(site: Site, site_id: str, receiver: Receiver, cooldown_seconds: int) -> str:
    body = {
        "site_id": site_id,
        "rule": "payment",
        "channel": {"type": "webhook", "url": receiver.url},
        "cooldown_seconds": cooldown_seconds,
    }
    return str((await site.request("POST", "/api/subscriptions", body))["secret"])


async def _pay(stack: Stack, site_id: str, sessions: list[str]) -> None:
    events = [
        {
            "type": "payment",
            "site_id": site_id,
            "session_id": session,
            "amount": 9,
            "currency": "EUR",
        }
        for session in sessions
    ]

    def post() -> int:
        request = urllib.request.Request(  # noqa: S310 - ours
            f"{stack.url}/api/events", json.dumps(events).encode()
        )
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - ours
            return int(response.status)

    assert await asyncio.to_thread(post) == 202


async def _delivery_seconds(stack: Stack, receiver: Receiver, session_id: str) -> float:
    """Send a payment; return the seconds until its webhook was delivered."""
    started_at = time.monotonic()
    await _pay(stack, "real", [session_id])

    def is_delivered() -> bool:
        bodies = [json.loads(message.body) for message in receiver.messages]
        return any(body["data"].get("subject") == session_id for body in bodies)

    await eventually_async(is_delivered, within_seconds=60, what=f"{session_id} is delivered")
    return time.monotonic() - started_at


def _counted(receiver: Receiver, secret: str) -> tuple[int, int]:
    """Return the number of alerts that were delivered singly, and in digests."""
    bodies: dict[str, Any] = {
        message.headers["webhook-id"]: message.verified(secret) for message in receiver.messages
    }
    digests = [body["data"] for body in bodies.values() if body["type"] == "alert.digest"]
    return len(bodies) - len(digests), sum(data["count"] for data in digests)
