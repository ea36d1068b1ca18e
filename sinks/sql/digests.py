"""Digests: one delivery that summarizes the alerts over a subscription's limits (ADR 45).

A subscription has at most one digest per interval, due when the interval ends. Until then more
alerts are merged into it; its size is bounded, because it contains only their count, their range
and the newest few. It is updated in the transaction that inserts the alerts, so that each alert
is counted exactly once.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from sqlalchemy import Connection, select, update

from schemas.alert_rules import Params
from sinks.sql.conversion import iso_utc
from sinks.sql.statements import Row
from sinks.sql.tables import DeliveryRow, table_of

#: Namespace of the digests' UUIDv5 ids.
_DIGEST_IDS = UUID("2f6f2b0c-7f3e-5d0b-9c55-0d8a1e7c4b92")
#: The number of newest alerts that a digest contains in full.
MAX_DIGEST_ALERTS = 5
#: A longer cooldown does not delay a digest any further.
_MAX_COOLDOWN_US = 3_600_000_000

_DELIVERIES = table_of(DeliveryRow)
_COLUMNS = tuple(_DELIVERIES.columns.keys())
#: The fields of an alert in a webhook's body.
_ALERT_FIELDS = (
    *("alert_id", "site_id", "rule", "subject", "title", "details", "event_id", "raised_at"),
    *("subscription_id", "seq"),
)

#: A row of `alerts` by column name, with the values of `sinks.sql.statements`.
Alert = dict[str, Any]


class DeliveryLimits(NamedTuple):
    """The rate limits of a subscription; alerts over them are summarized in a digest."""

    per_minute: int = 100
    per_hour: int = 1_000
    #: Limited because clients choose the subjects.
    subjects_per_cooldown: int = 20
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
    limits: DeliveryLimits,
    alerts: Sequence[Alert],
    now: int,
) -> Row | None:
    """Merge alerts into the pending digest, or return the row of a new one.

    `alerts` are ordered by `seq`; `now` is in microseconds since 1970. The interval is at least
    the cooldown, up to an hour.
    """
    cooldown_us = min(subscriber.cooldown_us, _MAX_COOLDOWN_US)
    interval_us = max(limits.digest_seconds * 1_000_000, cooldown_us)
    window = now // interval_us
    while True:
        name = f"{subscriber.subscription_id}:{interval_us}:{window}"
        delivery_id = str(uuid5(_DIGEST_IDS, name))
        row = connection.execute(
            select(_DELIVERIES.c.state, _DELIVERIES.c.attempts, _DELIVERIES.c.body)
            .where(_DELIVERIES.c.delivery_id == delivery_id)
            .with_for_update()
        ).first()
        if row is None:
            digest = alerts[0] | {"alert_id": None, "subject": "digest"}
            body, due = _body(subscriber, alerts), (window + 1) * interval_us
            return delivery_row(delivery_id, subscriber, digest, body, now=now, due=due)
        if row.state == "pending" and not row.attempts:
            body = _merged(row.body, _body(subscriber, alerts))
            merge = update(_DELIVERIES).where(_DELIVERIES.c.delivery_id == delivery_id)
            connection.execute(merge.values(body=body))
            return None
        window += 1  # that digest was sent or cancelled


def delivery_row(  # noqa: PLR0913
    delivery_id: str,
    subscriber: Subscriber,
    alert: Alert,
    body: dict[str, Any],
    *,
    now: int,
    due: int,
) -> Row:
    """Return the row of a pending delivery of an alert, due at `due` (µs since 1970)."""
    values = alert | {
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
    return tuple(values[name] for name in _COLUMNS)


def alert_data(alert: Alert) -> dict[str, Any]:
    """Return the JSON object of an alert in a webhook's body."""
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
        "alerts": [alert_data(alert) for alert in alerts[-MAX_DIGEST_ALERTS:]],
    }
    return {"type": "alert.digest", "timestamp": data["last_raised_at"], "data": data}


def _merged(body: dict[str, Any], added: dict[str, Any]) -> dict[str, Any]:
    (old, new) = (body["data"], added["data"])
    last = max(old["last_raised_at"], new["last_raised_at"])
    data = {
        **old,
        "count": old["count"] + new["count"],
        "first_raised_at": min(old["first_raised_at"], new["first_raised_at"]),
        "last_raised_at": last,
        "last_seq": new["last_seq"],
        "alerts": [*old["alerts"], *new["alerts"]][-MAX_DIGEST_ALERTS:],
    }
    return {**body, "timestamp": last, "data": data}
