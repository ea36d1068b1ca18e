"""Deliveries of new alerts: inserted with them, in the same transaction (an outbox).

Only an alert that was not there before has deliveries, so a replay makes none; their ids are
made of alert and subscription. After one about a subject, a subscription gets no other about
it within its cooldown, measured between the times at which the alerts were raised. Subjects are
chosen by clients, so their number in a cooldown is bounded, and so is the number of deliveries
of a subscription in a minute and an hour: what exceeds them is counted in a digest.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Connection, case, func, select, true

from schemas.alert_rules import RULES, PaymentParams, non_defaults, read_params
from schemas.batched import batched
from sinks.sql.digests import Alert, Budget, Subscriber, add_to_digest, alert_data, delivery_row
from sinks.sql.statements import Row
from sinks.sql.tables import AlertRow, DeliveryRow, SubscriptionRow, table_of
from sinks.sql.types import micros, moment, now_utc

_DELIVERY_IDS = UUID("6f0e2c1b-93a7-5d0c-8a41-52c6b7d9f0e8")
_ALERTS, _DELIVERIES = table_of(AlertRow), table_of(DeliveryRow)
_SUBSCRIPTIONS = table_of(SubscriptionRow)
#: Values of one `IN`: SQLite takes 32,766 parameters, and plans long lists badly.
_AT_ONCE = 500

_MINUTE_US = 60_000_000
_HOUR_US = 60 * _MINUTE_US

#: What was delivered to a subscription: the subject, and when the alert was raised.
Delivered = tuple[str, int]
#: An alert, and a subscription that it is for.
Wanted = tuple[Alert, Subscriber]


def known_alerts(connection: Connection, alert_ids: Sequence[str]) -> set[str]:
    """Return which alerts of a batch are there already; queried before it is inserted."""
    key = _ALERTS.c.alert_id
    return {
        found
        for some in batched(alert_ids, _AT_ONCE)
        for found in connection.execute(select(key).where(key.in_(some))).scalars()
    }


def delivery_rows(
    connection: Connection, alert_rows: Iterable[Row], known: set[str], budget: Budget
) -> list[Row]:
    """Return the rows of `deliveries` for those of the alerts that are new.

    What a subscription is not sent on its own is counted in a digest, which is another row or
    one that is there already.
    """
    names = _ALERTS.columns.keys()
    alerts = (dict(zip(names, row, strict=True)) for row in alert_rows)
    new = [alert for alert in alerts if alert["alert_id"] not in known]
    subscribers = _subscribers(connection, {alert["site_id"] for alert in new})
    wanted = [(alert, one) for alert in new for one in subscribers if _is_for(one, alert)]
    now = micros(now_utc())
    delivered = _delivered_before(connection, wanted)
    left = _budget_left(connection, {one.subscription_id for _, one in wanted}, now, budget)
    rows: list[Row] = []
    exceeding: defaultdict[Subscriber, list[Alert]] = defaultdict(list)
    for alert, one in wanted:
        near = _near(delivered[one.subscription_id], alert["raised_at"], one)
        if alert["subject"] in near:
            continue
        if len(near) >= budget.cooldown_subjects or left[one.subscription_id] <= 0:
            exceeding[one].append(alert)
            continue
        left[one.subscription_id] -= 1
        delivered[one.subscription_id].append((alert["subject"], alert["raised_at"]))
        delivery_id = str(uuid5(_DELIVERY_IDS, f"{alert['alert_id']}:{one.subscription_id}"))
        rows.append(delivery_row(delivery_id, one, alert, _body(alert), now=now, due=now))
    digests = (add_to_digest(connection, one, budget, some, now) for one, some in exceeding.items())
    return [*rows, *(row for row in digests if row is not None)]


def _body(alert: Alert) -> dict[str, Any]:
    """Return the message about an alert."""
    data = alert_data(alert)
    return {"type": "alert.raised", "timestamp": data["raised_at"], "data": data}


def _is_for(subscriber: Subscriber, alert: Alert) -> bool:
    """Return True if an alert is to be delivered to this subscription.

    One that names a subscription is for that one only. Of the others, payments are for
    whom they are large enough for, and all else is for those with the rule's parameters.
    """
    if (alert["site_id"], alert["rule"]) != (subscriber.site_id, subscriber.rule):
        return False
    if alert["subscription_id"] is not None:
        return bool(alert["subscription_id"] == subscriber.subscription_id)
    if isinstance(subscriber.params, PaymentParams):
        details = json.loads(alert["details"])
        amount = details.get("amount")
        paid = None if amount is None else Decimal(amount)
        return subscriber.params.match(paid, details.get("currency"))
    return not non_defaults(subscriber.params)


def _subscribers(connection: Connection, sites: Iterable[str]) -> list[Subscriber]:
    """Return the enabled subscriptions of these sites."""
    table = _SUBSCRIPTIONS
    found: list[Subscriber] = []
    for some in batched(sorted(sites), _AT_ONCE):
        rows = connection.execute(
            select(table)
            .where(
                table.c.site_id.in_(some),
                table.c.enabled == true(),
                table.c.rule.in_(RULES),  # a later version may have others
            )
            .order_by(table.c.subscription_id)
        )
        found += [
            Subscriber(
                row.subscription_id,
                row.site_id,
                row.rule,
                read_params(row.rule, row.params),
                row.cooldown_seconds * 1_000_000,
            )
            for row in rows
        ]
    return found


def _delivered_before(
    connection: Connection, wanted: Sequence[Wanted]
) -> defaultdict[str, list[Delivered]]:
    """Return what was delivered to subscriptions with a cooldown, near in time to these alerts."""
    table = _DELIVERIES
    delivered: defaultdict[str, list[Delivered]] = defaultdict(list)
    cooling = [(alert, one) for alert, one in wanted if one.cooldown_us]
    if not cooling:
        return delivered
    longest = max(one.cooldown_us for _, one in cooling)
    times = [alert["raised_at"] for alert, _ in cooling]
    for some in batched(sorted({one.subscription_id for _, one in cooling}), _AT_ONCE):
        rows = connection.execute(
            select(table.c.subscription_id, table.c.subject, table.c.raised_at).where(
                table.c.subscription_id.in_(some),
                table.c.raised_at > moment(min(times) - longest),
                table.c.raised_at < moment(max(times) + longest),
                table.c.alert_id.is_not(None),
            )
        )
        for row in rows:
            delivered[row.subscription_id].append((row.subject, micros(row.raised_at)))
    return delivered


def _near(delivered: list[Delivered], raised_at: int, one: Subscriber) -> set[str]:
    """Return the subjects that were delivered within a cooldown of an alert."""
    return {subject for subject, at in delivered if abs(raised_at - at) < one.cooldown_us}


def _budget_left(
    connection: Connection, subscriptions: set[str], now: int, budget: Budget
) -> dict[str, int]:
    """Return how many more deliveries each subscription may have: in the minute and the hour."""
    name, created = _DELIVERIES.c.subscription_id, _DELIVERIES.c.created_at
    left = dict.fromkeys(subscriptions, min(budget.per_minute, budget.per_hour))
    in_minute = func.sum(case((created > moment(now - _MINUTE_US), 1), else_=0))
    for some in batched(sorted(subscriptions), _AT_ONCE):
        rows = connection.execute(
            select(name, func.count(), in_minute)
            .where(
                name.in_(some),
                created > moment(now - _HOUR_US),
                created <= moment(now),
            )
            .group_by(name)
        )
        for subscription_id, by_hour, by_minute in rows:
            left[subscription_id] = min(budget.per_minute - by_minute, budget.per_hour - by_hour)
    return left
