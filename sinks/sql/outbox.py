"""Deliveries of new alerts: inserted with them, in the same transaction (an outbox).

Only an alert that was not there before has deliveries, so a replay makes none; their ids are
made of alert and subscription. After one about a subject, a subscription gets no other about
it within its cooldown, measured between the times at which the alerts were raised.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from sqlalchemy import Connection, select, true
from sqlmodel import col

from sinks.sql.batch import TableBatch
from sinks.sql.statements import Row
from sinks.sql.tables import AlertRow, DeliveryRow, SubscriptionRow, table_of
from sinks.sql.types import iso_utc, now_utc

_DELIVERIES = UUID("6f0e2c1b-93a7-5d0c-8a41-52c6b7d9f0e8")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROS = timedelta(microseconds=1)
#: Values of one `IN`: SQLite takes 32,766 parameters, and plans long lists badly.
_AT_ONCE = 500

_COLUMNS = tuple(table_of(DeliveryRow).columns.keys())

#: About what a subscription was told: its id and the subject.
About = tuple[str, str]


class _Asking(NamedTuple):
    subscription_id: str
    site_id: str
    rule: str
    is_every_sites: bool
    cooldown_us: int

    def wants(self, alert: dict[str, Any]) -> bool:
        if (alert["site_id"], alert["rule"]) != (self.site_id, self.rule):
            return False
        whose = alert["subscription_id"]
        return self.is_every_sites if whose is None else whose == self.subscription_id


def known_alerts(connection: Connection, part: TableBatch) -> set[str]:
    """Return which alerts of a batch are there already; asked before it is inserted."""
    key = col(AlertRow.alert_id)
    return {
        found
        for some in _chunks([row[0] for row in part.rows])
        for found in connection.execute(select(key).where(key.in_(some))).scalars()
    }


def delivery_rows(connection: Connection, alert_rows: Iterable[Row], known: set[str]) -> list[Row]:
    """Return the rows of `deliveries` for those of the alerts that are new."""
    names = table_of(AlertRow).columns.keys()
    alerts = (dict(zip(names, row, strict=True)) for row in alert_rows)
    new = [alert for alert in alerts if alert["alert_id"] not in known]
    asking = _asking(connection, {alert["site_id"] for alert in new})
    wanted = [(alert, one) for alert in new for one in asking if one.wants(alert)]
    told = _told_before(connection, wanted)
    now = (now_utc() - _EPOCH) // _MICROS
    return [
        _row(alert, one, now)
        for alert, one in wanted
        if _is_due(told[one.subscription_id, alert["subject"]], alert["raised_at"], one)
    ]


def alert_body(alert: dict[str, Any]) -> dict[str, Any]:
    """Return what a receiver is sent about an alert, given its row in neutral values."""
    data = {
        "alert_id": alert["alert_id"],
        "site_id": alert["site_id"],
        "rule": alert["rule"],
        "subject": alert["subject"],
        "title": alert["title"],
        "details": json.loads(alert["details"]),
        "event_id": alert["event_id"],
        "raised_at": iso_utc(alert["raised_at"]),
        "seq": alert["seq"],
    }
    return {"type": "alert.raised", "timestamp": data["raised_at"], "data": data}


def _asking(connection: Connection, sites: Iterable[str]) -> list[_Asking]:
    """Return the enabled subscriptions of these sites."""
    found: list[_Asking] = []
    for some in _chunks(sorted(sites)):
        rows = connection.execute(
            select(table_of(SubscriptionRow))
            .where(col(SubscriptionRow.site_id).in_(some), col(SubscriptionRow.enabled) == true())
            .order_by(col(SubscriptionRow.subscription_id))
        )
        found += [
            _Asking(
                row.subscription_id,
                row.site_id,
                row.rule,
                not row.params,
                row.cooldown_seconds * 1_000_000,
            )
            for row in rows
        ]
    return found


def _told_before(
    connection: Connection, wanted: Sequence[tuple[dict[str, Any], _Asking]]
) -> defaultdict[About, list[int]]:
    """Return when the alerts were raised that subscriptions with a cooldown were told of."""
    told: defaultdict[About, list[int]] = defaultdict(list)
    cooling = [(alert, one) for alert, one in wanted if one.cooldown_us]
    if not cooling:
        return told
    longest = max(one.cooldown_us for _, one in cooling)
    times = [alert["raised_at"] for alert, _ in cooling]
    subscriptions = sorted({one.subscription_id for _, one in cooling})
    for some in _chunks(sorted({alert["subject"] for alert, _ in cooling})):
        rows = connection.execute(
            select(
                col(DeliveryRow.subscription_id),
                col(DeliveryRow.subject),
                col(DeliveryRow.raised_at),
            ).where(
                col(DeliveryRow.subscription_id).in_(subscriptions),
                col(DeliveryRow.subject).in_(some),
                col(DeliveryRow.raised_at) > _time(min(times) - longest),
                col(DeliveryRow.raised_at) < _time(max(times) + longest),
                col(DeliveryRow.alert_id).is_not(None),
            )
        )
        for row in rows:
            told[row.subscription_id, row.subject].append((row.raised_at - _EPOCH) // _MICROS)
    return told


def _is_due(told: list[int], raised_at: int, one: _Asking) -> bool:
    """Tell whether no alert about it was delivered too near, and note that this one is."""
    if any(abs(raised_at - before) < one.cooldown_us for before in told):
        return False
    if one.cooldown_us:
        told.append(raised_at)
    return True


def _row(alert: dict[str, Any], one: _Asking, now: int) -> Row:
    values = {
        "delivery_id": str(uuid5(_DELIVERIES, f"{alert['alert_id']}:{one.subscription_id}")),
        "subscription_id": one.subscription_id,
        "site_id": alert["site_id"],
        "alert_id": alert["alert_id"],
        "rule": alert["rule"],
        "subject": alert["subject"],
        "raised_at": alert["raised_at"],
        "body": json.dumps(alert_body(alert), ensure_ascii=False),
        "state": "pending",
        "attempts": 0,
        "step": 0,
        "next_attempt_at": now,
        "created_at": now,
        "delivered_at": None,
    }
    return tuple(values[name] for name in _COLUMNS)


def _time(micros: int) -> datetime:
    return _EPOCH + micros * _MICROS


def _chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
