"""What is sent to try a subscription."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from sinks.webhooks import records
from sinks.webhooks.records import Answer


def test_delivery(row: Any, at: datetime) -> Answer:
    """Return the row of a delivery that tells of no alert, due at once."""
    delivery_id, time = str(uuid4()), records.iso(at)
    alert = {
        "alert_id": delivery_id,
        "site_id": row.site_id,
        "rule": row.rule,
        "subject": "test",
        "title": "This is a test of your subscription",
        "details": {},
        "event_id": None,
        "raised_at": time,
        "seq": 0,
    }
    body = {"type": "test", "timestamp": time, "data": alert}
    return {
        "delivery_id": delivery_id,
        "subscription_id": row.subscription_id,
        "site_id": row.site_id,
        "alert_id": None,
        "rule": row.rule,
        "subject": "test",
        "raised_at": at,
        "body": body,
        "state": "pending",
        "attempts": 0,
        "step": 0,
        "next_attempt_at": at,
        "created_at": at,
        "delivered_at": None,
    }
