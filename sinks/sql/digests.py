"""Digests: one delivery for the alerts that exceed what a subscription is sent (ADR 45).

A subscription has at most one digest for each interval, due when the interval ends. Until then
it takes in more alerts: it keeps their number, their range and the newest few, so its size is
bounded. All is in the transaction that inserts the alerts, so none is lost or counted twice.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from sqlalchemy import Connection, select, update

from schemas.alert_rules import Params
from sinks.sql.statements import Row
from sinks.sql.tables import DeliveryRow, table_of
from sinks.sql.types import iso_utc

_DIGESTS = UUID("2f6f2b0c-7f3e-5d0b-9c55-0d8a1e7c4b92")
#: Of the alerts of a digest, the newest are in it whole.
SHOWN_ALERTS = 5
#: A digest is not put off for longer, however long the cooldown is.
_LONGEST_US = 3_600_000_000

_DELIVERIES = table_of(DeliveryRow)
_COLUMNS = tuple(_DELIVERIES.columns.keys())
#: What a receiver is sent about an alert.
_ALERT_FIELDS = (
    *("alert_id", "site_id", "rule", "subject", "title", "details", "event_id", "raised_at"),
    *("subscription_id", "seq"),
)

#: A row of `alerts` by its columns, in neutral values.
Alert = dict[str, Any]


class Budget(NamedTuple):
    """What a subscription is sent at most: by minute, by hour, and by cooldown."""

    per_minute: int = 100
    per_hour: int = 1_000
    #: Subjects that are delivered on their own within one cooldown: a client chooses subjects.
    cooldown_subjects: int = 20
    digest_seconds: int = 60


class Subscriber(NamedTuple):
    """An enabled subscription."""

    subscription_id: str
    site_id: str
    rule: str
    params: Params
    cooldown_us: int


def add_to_digest(
    connection: Connection,
    subscriber: Subscriber,
    budget: Budget,
    alerts: Sequence[Alert],
    now: int,
) -> Row | None:
    """Count alerts in the open digest; return the row of a new one, None if there was one.

    `alerts` are in the order of `seq`; `now` is in microseconds since 1970. A cooldown is kept, up
    to an hour.
    """
    cooldown_us = min(subscriber.cooldown_us, _LONGEST_US)
    interval_us = max(budget.digest_seconds * 1_000_000, cooldown_us)
    window = now // interval_us
    while True:
        name = f"{subscriber.subscription_id}:{interval_us}:{window}"
        delivery_id = str(uuid5(_DIGESTS, name))
        found = connection.execute(
            select(_DELIVERIES.c.state, _DELIVERIES.c.attempts, _DELIVERIES.c.body)
            .where(_DELIVERIES.c.delivery_id == delivery_id)
            .with_for_update()
        ).first()
        if found is None:
            digest = alerts[0] | {"alert_id": None, "subject": "digest"}
            body, due = _body(subscriber, alerts), (window + 1) * interval_us
            return delivery_row(delivery_id, subscriber, digest, body, now=now, due=due)
        if found.state == "pending" and not found.attempts:
            body = _merged(found.body, _body(subscriber, alerts))
            changed = update(_DELIVERIES).where(_DELIVERIES.c.delivery_id == delivery_id)
            connection.execute(changed.values(body=body))
            return None
        window += 1  # it was sent, or cancelled


def delivery_row(  # noqa: PLR0913 - each by its name
    delivery_id: str,
    subscriber: Subscriber,
    alert: Alert,
    body: dict[str, Any],
    *,
    now: int,
    due: int,
) -> Row:
    """Return the row of a delivery about an alert that waits until `due` (µs since 1970)."""
    whole = alert | {
        "delivery_id": delivery_id,
        "subscription_id": subscriber.subscription_id,
        "body": json.dumps(body, ensure_ascii=False),
        "state": "pending",
        "attempts": 0,
        "step": 0,
        "next_attempt_at": due,
        "created_at": now,
        "delivered_at": None,
    }
    return tuple(whole[name] for name in _COLUMNS)


def alert_data(alert: Alert) -> dict[str, Any]:
    """Return what a receiver is sent about an alert."""
    data = {name: alert[name] for name in _ALERT_FIELDS}
    data["details"] = json.loads(alert["details"])
    data["raised_at"] = iso_utc(alert["raised_at"])
    return data


def _body(subscriber: Subscriber, alerts: Sequence[Alert]) -> dict[str, Any]:
    times = [alert["raised_at"] for alert in alerts]
    data = {
        "subscription_id": subscriber.subscription_id,
        "site_id": subscriber.site_id,
        "rule": subscriber.rule,
        "count": len(alerts),
        "first_raised_at": iso_utc(min(times)),
        "last_raised_at": iso_utc(max(times)),
        "first_seq": alerts[0]["seq"],
        "last_seq": alerts[-1]["seq"],
        "alerts": [alert_data(alert) for alert in alerts[-SHOWN_ALERTS:]],
    }
    return {"type": "alert.digest", "timestamp": data["last_raised_at"], "data": data}


def _merged(before: dict[str, Any], added: dict[str, Any]) -> dict[str, Any]:
    (old, new) = (before["data"], added["data"])
    last = max(old["last_raised_at"], new["last_raised_at"])
    data = {
        **old,
        "count": old["count"] + new["count"],
        "first_raised_at": min(old["first_raised_at"], new["first_raised_at"]),
        "last_raised_at": last,
        "last_seq": new["last_seq"],
        "alerts": [*old["alerts"], *new["alerts"]][-SHOWN_ALERTS:],
    }
    return {**before, "timestamp": last, "data": data}
