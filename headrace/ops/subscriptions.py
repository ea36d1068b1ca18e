"""Test messages to subscriptions, for the command `alerts`."""

import asyncio
import time
from typing import Any

from headrace.errors import UserError
from sinks.delivery.service import Subscriptions
from sinks.paging import Slice

#: The receiver has 15 s to respond.
_TIMEOUT_SECONDS = 30.0
_POLL_SECONDS = 0.2
#: How many of the newest deliveries are searched for the test delivery.
_NEWEST = 1_000


async def send_test(service: Subscriptions, subscription_id: str) -> dict[str, Any]:
    """Send a test message, and return its first attempt. Raises UserError if it fails."""
    delivery_id = (await service.test(subscription_id))["delivery_id"]
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        page = await service.deliveries(subscription_id, Slice(_NEWEST))
        for delivery in page.items:
            if delivery["delivery_id"] == delivery_id and delivery["attempts"]:
                return _accepted(delivery["state"], delivery["attempts"][0])
        if time.monotonic() > deadline:
            raise UserError(
                "The test message is queued, but it was not sent yet. `headrace status` shows "
                "whether the role sinks is running"
            )
        await asyncio.sleep(_POLL_SECONDS)


def _accepted(state: str, attempt: dict[str, Any]) -> dict[str, Any]:
    if state != "delivered":
        why = attempt["error"] or f"it responded with {attempt['status']}"
        later = "; it is sent again later" if state == "pending" else ""
        raise UserError(f"The receiver did not accept the test message: {why}{later}")
    return attempt
