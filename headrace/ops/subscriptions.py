"""Test messages to subscriptions, for the command `alerts`."""

import asyncio
import time
from typing import Any

from headrace.errors import UserError
from sinks.delivery.queue import NO_RESULT
from sinks.delivery.schedule import GONE, Outcome
from sinks.delivery.service import Subscriptions
from sinks.paging import Slice

#: The receiver has 15 s to respond. An attempt whose process died is repeated after 30 s.
_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.2
#: How many of the newest deliveries are searched for the test delivery.
_NEWEST = 1_000


async def send_test(service: Subscriptions, subscription_id: str) -> dict[str, Any]:
    """Send a test message, and return its first result. Raises UserError if it is a failure.

    An attempt without a result is in progress, or its process died, and the next follows.
    """
    delivery_id = (await service.test(subscription_id))["delivery_id"]
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        page = await service.deliveries(subscription_id, Slice(_NEWEST))
        delivery = next((one for one in page.items if one["delivery_id"] == delivery_id), None)
        attempts = [] if delivery is None else delivery["attempts"]
        for attempt in attempts:
            if attempt["error"] != NO_RESULT:
                return _accepted(attempt)
        if time.monotonic() > deadline:
            what = "is being sent, without a result" if attempts else "is queued, but was not sent"
            raise UserError(
                f"The test message {what} yet. `headrace status` shows whether the role sinks is "
                "running"
            )
        await asyncio.sleep(_POLL_SECONDS)


def _accepted(attempt: dict[str, Any]) -> dict[str, Any]:
    outcome = Outcome(attempt["status"], attempt["error"], attempt["duration_ms"])
    if not outcome.is_success:
        why = outcome.error or f"it responded with {outcome.status}"
        later = "" if outcome.status == GONE else "; it is sent again later"
        raise UserError(f"The receiver did not accept the test message: {why}{later}")
    return attempt
