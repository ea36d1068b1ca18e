"""Subscriptions in memory: what the paths need of the real service."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from sinks.webhooks.service import Invalid, Unavailable, Within

Shown = dict[str, Any]


class FakeService:
    """Keeps what it is given; `away` is when Kafka is."""

    def __init__(self) -> None:
        self.kept: dict[str, Shown] = {}
        self.away = False

    async def create(self, site_id: str, body: Mapping[str, Any]) -> Shown:
        """Keep a subscription; only the rule `payment` is known."""
        if self.away:
            raise Unavailable("Kafka does not answer")
        if body.get("rule") != "payment":
            raise Invalid("rule", "rule must be payment")
        made = {"subscription_id": str(uuid4()), "site_id": site_id, "rule": "payment"}
        self.kept[made["subscription_id"]] = made
        return {**made, "secret": "whsec_x"}

    async def list(
        self, sites: Sequence[str] | None, limit: int, cursor: str | None, within: Within
    ) -> Shown:
        """Return those of the sites."""
        del cursor, within
        kept = [one for one in self.kept.values() if sites is None or one["site_id"] in sites]
        return {"items": kept[:limit], "next_cursor": None}

    async def get(self, subscription_id: str) -> Shown | None:
        """Return one."""
        return self.kept.get(subscription_id)

    async def patch(self, subscription_id: str, body: Mapping[str, Any]) -> Shown | None:
        """Change one."""
        self.kept[subscription_id] |= body
        return self.kept[subscription_id]

    async def delete(self, subscription_id: str) -> bool:
        """Forget one."""
        return self.kept.pop(subscription_id, None) is not None

    async def test(self, subscription_id: str) -> Shown | None:
        """Return a delivery."""
        return {"delivery_id": subscription_id}

    async def deliveries(
        self, subscription_id: str, limit: int, cursor: str | None, within: Within
    ) -> Shown:
        """Return none."""
        del subscription_id, limit, cursor, within
        return {"items": [], "next_cursor": None}

    async def resend(self, subscription_id: str, delivery_id: str) -> Shown | None:
        """Return the delivery when its id is the subscription's."""
        return {"delivery_id": delivery_id} if subscription_id == delivery_id else None
