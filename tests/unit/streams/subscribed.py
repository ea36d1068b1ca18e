"""Subscriptions, for tests of the rules."""

import json
from collections.abc import Mapping
from typing import Any

from schemas.records import Subscription
from tests.unit.streams.samples import NOON, uuid_of


def subscription(name: object, rule: str, params: Mapping[str, Any], **fields: Any) -> Subscription:
    """Return the subscription `name`, by default of the site `shop` and enabled."""
    given: dict[str, Any] = {
        "subscription_id": uuid_of(("subscription", name)),
        "site_id": "shop",
        "rule": rule,
        "params": json.dumps(params),
        "cooldown_seconds": 0,
        "enabled": True,
        "updated_at": NOON,
    }
    return Subscription(**{**given, **fields})
