"""A site of a running stack: sends events, and creates subscriptions."""

import asyncio
import json
import urllib.request
from typing import Any

from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually_async
from tests.integration.sinks.receivers import Receiver

NAME = "shop"


class Site:
    """Requests of a site owner, with the owner's token."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._probes = 0

    async def subscribe(
        self, rule: str, params: dict[str, Any], receiver: Receiver
    ) -> dict[str, Any]:
        """Create a subscription; return it with its secret."""
        channel = {"type": "webhook", "url": receiver.url}
        body = {"site_id": NAME, "rule": rule, "params": params, "channel": channel}
        return await self.request("POST", "/api/subscriptions", body)

    def pay(self, session_id: str, amount: float) -> None:
        """Send a payment."""
        self._post({"type": "payment", "amount": amount, "currency": "EUR"}, session_id)

    def fail(self, session_id: str, name: str) -> None:
        """Send an error."""
        self._post({"type": "error", "error_name": name}, session_id)

    async def probe_until_delivered(self, *receivers: Receiver) -> None:
        """Send payments until all receivers have got an alert, so that subscriptions are in effect.

        Workers read new subscriptions from the topic with a short delay.
        """

        async def are_stored() -> bool:
            return await asyncio.to_thread(self._stored_probes) == self._probes

        async def are_delivered() -> bool:
            if await are_stored():
                self.pay(f"probe-{self._probes}", 1_000)
                self._probes += 1
            return all(receiver.messages for receiver in receivers)

        await eventually_async(
            are_delivered, within_seconds=60, what="the subscriptions are in effect"
        )
        await eventually_async(are_stored, within_seconds=60, what="all probes are stored")

    async def request(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Send a request; return the JSON of the response."""
        token = (self._stack.data_dir / "owner.token").read_text().strip()
        data = None if body is None else json.dumps(body).encode()

        def send() -> dict[str, Any]:
            url = self._stack.url + path
            request = urllib.request.Request(url, data, method=method)  # noqa: S310 - ours
            request.add_header("Authorization", f"Bearer {token}")
            request.add_header("Content-Type", "application/json")
            with urllib.request.urlopen(request, timeout=15) as response:  # noqa: S310 - ours
                content: dict[str, Any] = json.load(response)
                return content

        return await asyncio.to_thread(send)

    def _stored_probes(self) -> int:
        (row,) = self._stack.rows(
            "SELECT count(*) AS n FROM alerts WHERE subscription_id IS NULL"
            " AND subject >= 'probe' AND subject < 'probf'"
        )
        return int(row["n"])

    def _post(self, event: dict[str, Any], session_id: str) -> None:
        given = {"site_id": NAME, "session_id": session_id, **event}
        assert self._stack.post(given)[0] == 202
