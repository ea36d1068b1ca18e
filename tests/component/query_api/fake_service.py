"""An in-memory service of subscriptions."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from sinks.delivery.publisher import Unavailable
from sinks.delivery.service import NotFound
from sinks.delivery.subscription_spec import Invalid
from sinks.paging import Page, Slice

Item = dict[str, Any]

_TIME = "2026-01-31T12:00:00.000000Z"
_DEFAULTS: Item = {
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
    """Keeps subscriptions. Set `is_unavailable` to simulate an outage of Kafka."""

    def __init__(self) -> None:
        self.subscriptions: dict[str, Item] = {}
        self.is_unavailable = False

    async def create(self, body: Mapping[str, Any]) -> Item:
        """Create a subscription. Only the rule `payment` is valid."""
        if self.is_unavailable:
            raise Unavailable("Kafka does not answer")
        if body.get("rule") != "payment":
            raise Invalid("rule", "rule must be payment")
        created = {**_DEFAULTS, "subscription_id": str(uuid4()), "site_id": body["site_id"]}
        self.subscriptions[created["subscription_id"]] = created
        return {**created, "secret": "whsec_x"}

    async def list(self, sites: Sequence[str] | None, part: Slice) -> Page:
        """Return the subscriptions of the sites."""
        found = [
            item
            for item in self.subscriptions.values()
            if sites is None or item["site_id"] in sites
        ]
        return Page(found[: part.limit], None)

    async def get(self, subscription_id: str) -> Item:
        """Return a subscription."""
        if subscription_id not in self.subscriptions:
            raise NotFound
        return self.subscriptions[subscription_id]

    async def patch(self, subscription_id: str, body: Mapping[str, Any]) -> Item:
        """Update a subscription."""
        self.subscriptions[subscription_id] |= body
        return self.subscriptions[subscription_id]

    async def delete(self, subscription_id: str) -> None:
        """Delete a subscription."""
        del self.subscriptions[subscription_id]

    async def test(self, subscription_id: str) -> Item:
        """Return a delivery."""
        return _delivery(subscription_id, subscription_id)

    async def deliveries(self, subscription_id: str, part: Slice) -> Page:
        """Return an empty page."""
        del subscription_id, part
        return Page([], None)

    async def resend(self, subscription_id: str, delivery_id: str) -> Item:
        """Return a delivery if its id equals that of the subscription."""
        if subscription_id != delivery_id:
            raise NotFound
        return _delivery(subscription_id, delivery_id)


def _delivery(subscription_id: str, delivery_id: str) -> Item:
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
