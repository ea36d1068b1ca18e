"""A site of a whole headrace: its events, and who subscribed to its alerts."""

import asyncio
import json
import urllib.request
from typing import Any

from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually_async
from tests.integration.sinks.receivers import Receiver

NAME = "shop"


class Site:
    """What a site owner does over HTTP, with the owner's token."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._probes = 0

    async def subscribe(
        self, rule: str, params: dict[str, Any], receiver: Receiver
    ) -> dict[str, Any]:
        """Return a new subscription, secret included."""
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
        """Pay, and again when that was stored, until these receivers have heard of it.

        So their subscriptions are in effect, which are in the topic when they are made, but
        known to the workers a moment later.
        """

        async def are_stored() -> bool:
            return await asyncio.to_thread(self._stored_probes) == self._probes

        async def are_told() -> bool:
            if await are_stored():
                self.pay(f"probe-{self._probes}", 1_000)
                self._probes += 1
            return all(receiver.messages for receiver in receivers)

        await eventually_async(are_told, within_seconds=60, what="the subscriptions are in effect")
        await eventually_async(are_stored, within_seconds=60, what="all probes are stored")

    async def request(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Return what a path answers."""
        token = (self._stack.data_dir / "owner.token").read_text().strip()
        content = None if body is None else json.dumps(body).encode()

        def ask() -> dict[str, Any]:
            url = self._stack.url + path
            request = urllib.request.Request(url, content, method=method)  # noqa: S310 - ours
            request.add_header("Authorization", f"Bearer {token}")
            request.add_header("Content-Type", "application/json")
            with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310 - ours
                found: dict[str, Any] = json.load(answer)
                return found

        return await asyncio.to_thread(ask)

    def _stored_probes(self) -> int:
        (row,) = self._stack.rows(
            "SELECT count(*) AS n FROM alerts WHERE subscription_id IS NULL"
            " AND subject >= 'probe' AND subject < 'probf'"
        )
        return int(row["n"])

    def _post(self, event: dict[str, Any], session_id: str) -> None:
        given = {"site_id": NAME, "session_id": session_id, **event}
        assert self._stack.post(given)[0] == 202
