"""Subscriptions in memory: what the paths need of the real service."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from sinks.paging import Page, Slice
from sinks.webhooks.asked import Invalid
from sinks.webhooks.service import NotFound
from sinks.webhooks.topic import Unavailable

Shown = dict[str, Any]

_TIME = "2026-01-31T12:00:00.000000Z"
_SHOWN: Shown = {
    "rule": "payment",
    "params": {},
    "channel": {"type": "webhook", "url": "https://example.com/"},
    "cooldown_seconds": 0,
    "enabled": True,
    "disabled_reason": None,
    "created_at": _TIME,
    "updated_at": _TIME,
}


class FakeService:
    """Keeps what it is given; `away` is when Kafka is."""

    def __init__(self) -> None:
        self.kept: dict[str, Shown] = {}
        self.away = False

    async def create(self, body: Mapping[str, Any]) -> Shown:
        """Keep a subscription; only the rule `payment` is known."""
        if self.away:
            raise Unavailable("Kafka does not answer")
        if body.get("rule") != "payment":
            raise Invalid("rule", "rule must be payment")
        made = {**_SHOWN, "subscription_id": str(uuid4()), "site_id": body["site_id"]}
        self.kept[made["subscription_id"]] = made
        return {**made, "secret": "whsec_x"}

    async def list(self, sites: Sequence[str] | None, part: Slice) -> Page:
        """Return those of the sites."""
        kept = [one for one in self.kept.values() if sites is None or one["site_id"] in sites]
        return Page(kept[: part.limit], None)

    async def get(self, subscription_id: str) -> Shown:
        """Return one."""
        if subscription_id not in self.kept:
            raise NotFound
        return self.kept[subscription_id]

    async def patch(self, subscription_id: str, body: Mapping[str, Any]) -> Shown:
        """Change one."""
        self.kept[subscription_id] |= body
        return self.kept[subscription_id]

    async def delete(self, subscription_id: str) -> None:
        """Forget one."""
        del self.kept[subscription_id]

    async def test(self, subscription_id: str) -> Shown:
        """Return a delivery."""
        return _delivery(subscription_id, subscription_id)

    async def deliveries(self, subscription_id: str, part: Slice) -> Page:
        """Return none."""
        del subscription_id, part
        return Page([], None)

    async def resend(self, subscription_id: str, delivery_id: str) -> Shown:
        """Return the delivery when its id is the subscription's."""
        if subscription_id != delivery_id:
            raise NotFound
        return _delivery(subscription_id, delivery_id)


def _delivery(subscription_id: str, delivery_id: str) -> Shown:
    return {
        **dict.fromkeys(("alert_id", "rule", "subject", "next_attempt_at", "delivered_at")),
        "delivery_id": delivery_id,
        "subscription_id": subscription_id,
        "site_id": "shop",
        "type": "test",
        "state": "pending",
        "attempts": [],
        "created_at": _TIME,
    }
