"""The transactional outbox: deliveries are inserted in the transaction of their alerts.

Only new alerts are delivered, so a replay enqueues nothing; delivery ids are derived from alert
and subscription. After an alert about a subject, a subscription is not sent another one about it
within its cooldown, measured between the times at which the alerts were raised. Clients choose
the subjects, so the subjects per cooldown and the deliveries per minute and hour are limited;
alerts over the limits are counted in a digest.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from sqlalchemy import Connection, case, func, select, true

from schemas.alert_rules import RULES, PaymentParams, non_defaults, read_params
from schemas.batched import batched
from sinks.sql.digests import (
    Alert,
    DeliveryLimits,
    Subscriber,
    add_to_digest,
    alert_data,
    delivery_row,
)
from sinks.sql.statements import Row
from sinks.sql.tables import AlertRow, DeliveryRow, SubscriptionRow, table_of
from sinks.sql.types import from_micros, micros, now_utc

#: Namespace of the deliveries' UUIDv5 ids.
_DELIVERY_IDS = UUID("6f0e2c1b-93a7-5d0c-8a41-52c6b7d9f0e8")
_ALERTS, _DELIVERIES = table_of(AlertRow), table_of(DeliveryRow)
_SUBSCRIPTIONS = table_of(SubscriptionRow)
#: The index of `site_id` in a row of `alerts`.
_SITE = _ALERTS.columns.keys().index("site_id")
#: Values per `IN`: SQLite is limited to 32,766 parameters and plans long lists badly.
_CHUNK_SIZE = 500

_MINUTE_US = 60_000_000
_HOUR_US = 60 * _MINUTE_US

#: The subject of a delivered alert, and when it was raised.
Delivered = tuple[str, int]
#: An alert and a subscription that it matches.
Match = tuple[Alert, Subscriber]


class Recipients(NamedTuple):
    """The enabled subscriptions of the sites of alerts, and the alerts that are stored already."""

    subscribers: Sequence[Subscriber]
    existing: frozenset[str] = frozenset()


def recipients_of(connection: Connection, alert_rows: Sequence[Row]) -> Recipients:
    """Return the recipients of alerts; call it before the alerts are inserted."""
    subscribers = _subscribers(connection, {row[_SITE] for row in alert_rows})
    if not subscribers:  # most often: nothing is delivered
        return Recipients(())
    key = _ALERTS.c.alert_id
    existing = frozenset(
        alert_id
        for chunk in batched([row[0] for row in alert_rows], _CHUNK_SIZE)
        for alert_id in connection.execute(select(key).where(key.in_(chunk))).scalars()
    )
    return Recipients(subscribers, existing)


def delivery_rows(
    connection: Connection,
    alert_rows: Iterable[Row],
    recipients: Recipients,
    limits: DeliveryLimits,
) -> list[Row]:
    """Return the rows of `deliveries` for the alerts that were not stored before.

    Alerts over a subscription's limits are counted in a digest: a new row, or a pending one that
    is updated.
    """
    names = _ALERTS.columns.keys()
    alerts = (dict(zip(names, row, strict=True)) for row in alert_rows)
    new = [alert for alert in alerts if alert["alert_id"] not in recipients.existing]
    matches = [
        (alert, each) for alert in new for each in recipients.subscribers if _matches(each, alert)
    ]
    if not matches:
        return []
    now = micros(now_utc())
    delivered = _delivered(connection, matches)
    subscription_ids = {subscriber.subscription_id for _, subscriber in matches}
    remaining = _remaining(connection, subscription_ids, now, limits)
    rows: list[Row] = []
    over_limit: defaultdict[Subscriber, list[Alert]] = defaultdict(list)
    for alert, subscriber in matches:
        subscription_id = subscriber.subscription_id
        subject, raised_at = alert["subject"], alert["raised_at"]
        subjects = _subjects_in_cooldown(delivered[subscription_id], raised_at, subscriber)
        if subject in subjects:
            continue
        if len(subjects) >= limits.subjects_per_cooldown or remaining[subscription_id] <= 0:
            over_limit[subscriber].append(alert)
            continue
        remaining[subscription_id] -= 1
        delivered[subscription_id].append((subject, raised_at))
        delivery_id = str(uuid5(_DELIVERY_IDS, f"{alert['alert_id']}:{subscription_id}"))
        rows.append(delivery_row(delivery_id, subscriber, alert, _body(alert), now=now, due=now))
    digests = (
        add_to_digest(connection, subscriber, limits, over, now)
        for subscriber, over in over_limit.items()
    )
    return [*rows, *(row for row in digests if row is not None)]


def _body(alert: Alert) -> dict[str, Any]:
    """Return the body of the webhook."""
    data = alert_data(alert)
    return {"type": "alert.raised", "timestamp": data["raised_at"], "data": data}


def _matches(subscriber: Subscriber, alert: Alert) -> bool:
    """Return True if a subscription receives an alert.

    An alert with a `subscription_id` is for that subscription only. A payment must match
    the subscription's parameters. Other alerts are for subscriptions with the rule's defaults.
    """
    if (alert["site_id"], alert["rule"]) != (subscriber.site_id, subscriber.rule):
        return False
    if alert["subscription_id"] is not None:
        return bool(alert["subscription_id"] == subscriber.subscription_id)
    if isinstance(subscriber.params, PaymentParams):
        details = json.loads(alert["details"])
        amount = details.get("amount")
        paid = None if amount is None else Decimal(amount)
        return subscriber.params.match(paid, details.get("currency"), details.get("trust"))
    return not non_defaults(subscriber.params)


def _subscribers(connection: Connection, sites: Iterable[str]) -> list[Subscriber]:
    """Return the enabled subscriptions of sites."""
    table = _SUBSCRIPTIONS
    subscribers: list[Subscriber] = []
    for chunk in batched(sorted(sites), _CHUNK_SIZE):
        rows = connection.execute(
            select(table)
            .where(
                table.c.site_id.in_(chunk),
                table.c.enabled == true(),
                table.c.rule.in_(RULES),  # a later version may have more rules
            )
            .order_by(table.c.subscription_id)
        )
        subscribers += [
            Subscriber(
                row.subscription_id,
                row.site_id,
                row.rule,
                read_params(row.rule, row.params),
                row.cooldown_seconds * 1_000_000,
            )
            for row in rows
        ]
    return subscribers


def _delivered(
    connection: Connection, matches: Sequence[Match]
) -> defaultdict[str, list[Delivered]]:
    """Return earlier deliveries by subscription, within the longest cooldown of these alerts."""
    table = _DELIVERIES
    delivered: defaultdict[str, list[Delivered]] = defaultdict(list)
    with_cooldown = [(alert, subscriber) for alert, subscriber in matches if subscriber.cooldown_us]
    if not with_cooldown:
        return delivered
    longest = max(subscriber.cooldown_us for _, subscriber in with_cooldown)
    times = [alert["raised_at"] for alert, _ in with_cooldown]
    for chunk in batched(
        sorted({subscriber.subscription_id for _, subscriber in with_cooldown}), _CHUNK_SIZE
    ):
        rows = connection.execute(
            select(table.c.subscription_id, table.c.subject, table.c.raised_at).where(
                table.c.subscription_id.in_(chunk),
                table.c.raised_at > from_micros(min(times) - longest),
                table.c.raised_at < from_micros(max(times) + longest),
                table.c.alert_id.is_not(None),
            )
        )
        for row in rows:
            delivered[row.subscription_id].append((row.subject, micros(row.raised_at)))
    return delivered


def _subjects_in_cooldown(
    delivered: list[Delivered], raised_at: int, subscriber: Subscriber
) -> set[str]:
    """Return the subjects that were delivered within a cooldown of an alert."""
    return {subject for subject, at in delivered if abs(raised_at - at) < subscriber.cooldown_us}


def _remaining(
    connection: Connection, subscriptions: set[str], now: int, limits: DeliveryLimits
) -> dict[str, int]:
    """Return how many more deliveries each subscription may get in this minute and hour."""
    name, created = _DELIVERIES.c.subscription_id, _DELIVERIES.c.created_at
    remaining = dict.fromkeys(subscriptions, min(limits.per_minute, limits.per_hour))
    in_minute = func.sum(case((created > from_micros(now - _MINUTE_US), 1), else_=0))
    for chunk in batched(sorted(subscriptions), _CHUNK_SIZE):
        rows = connection.execute(
            select(name, func.count(), in_minute)
            .where(
                name.in_(chunk),
                created > from_micros(now - _HOUR_US),
                created <= from_micros(now),
            )
            .group_by(name)
        )
        for subscription_id, hour_count, minute_count in rows:
            remaining[subscription_id] = min(
                limits.per_minute - minute_count, limits.per_hour - hour_count
            )
    return remaining
