"""Subscriptions and deliveries in SQL, for those who ask: functions of a connection."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from schemas.records import Subscription
from sinks.sql.tables import DeliveryAttemptRow, DeliveryRow, SubscriptionRow, table_of
from sinks.sql.types import iso_utc
from sinks.webhooks.asked import Asked, Cursor, cursor_of

Answer = dict[str, Any]

_TABLE = table_of(SubscriptionRow)
_SUBSCRIPTIONS = _TABLE.c
_DELIVERIES = table_of(DeliveryRow).c
_ATTEMPTS = table_of(DeliveryAttemptRow).c


def find(connection: Connection, subscription_id: str) -> Any | None:
    """Return the row of a subscription."""
    query = select(_TABLE).where(_SUBSCRIPTIONS.subscription_id == subscription_id)
    return connection.execute(query).first()


def everything(connection: Connection) -> list[Any]:
    """Return the rows of all subscriptions."""
    return list(connection.execute(select(_TABLE)))


def count_of(connection: Connection, site_id: str) -> int:
    """Return how many subscriptions a site has."""
    query = select(func.count()).select_from(_TABLE).where(_SUBSCRIPTIONS.site_id == site_id)
    return int(connection.execute(query).scalar_one())


def add(
    connection: Connection, subscription_id: str, asked: Asked, secret: str, at: datetime
) -> Any:
    """Insert a subscription and return its row."""
    connection.execute(
        insert(_TABLE).values(
            subscription_id=subscription_id,
            site_id=asked.site_id,
            rule=asked.rule,
            channel_type="webhook",
            secret=secret,
            created_at=at,
            **_changing(asked, at),
        )
    )
    return find(connection, subscription_id)


def change(
    connection: Connection, subscription_id: str, asked: Asked, reason: str | None, at: datetime
) -> Any | None:
    """Change a subscription, unless it was changed later; what waits for one that is off goes."""
    connection.execute(
        update(_TABLE)
        .where(_SUBSCRIPTIONS.subscription_id == subscription_id, _SUBSCRIPTIONS.updated_at < at)
        .values(disabled_reason=reason, **_changing(asked, at))
    )
    row = find(connection, subscription_id)
    if row is not None and not row.enabled:
        _cancel(connection, subscription_id)
    return row


def remove(connection: Connection, subscription_id: str) -> bool:
    """Delete a subscription, and cancel what waits for it; False when there was none."""
    _cancel(connection, subscription_id)
    query = delete(_TABLE).where(_SUBSCRIPTIONS.subscription_id == subscription_id)
    return bool(connection.execute(query).rowcount)


class Slice(NamedTuple):
    """What is listed of what there is: `since` is included, `until` is not."""

    limit: int
    after: Cursor | None = None
    since: datetime | None = None
    until: datetime | None = None


def page(connection: Connection, sites: Sequence[str] | None, part: Slice) -> Answer:
    """Return subscriptions by the time they were made, newest first."""
    query = select(_TABLE)
    if sites is not None:
        query = query.where(_SUBSCRIPTIONS.site_id.in_(sites))
    key = (_SUBSCRIPTIONS.created_at, _SUBSCRIPTIONS.subscription_id)
    rows = connection.execute(_sliced(query, key, part)).all()
    return _listed([shown(row) for row in rows], rows, part.limit, "subscription_id")


def deliveries(connection: Connection, subscription_id: str, part: Slice) -> Answer:
    """Return a subscription's deliveries by the time they were made, newest first."""
    query = select(table_of(DeliveryRow)).where(_DELIVERIES.subscription_id == subscription_id)
    key = (_DELIVERIES.created_at, _DELIVERIES.delivery_id)
    rows = connection.execute(_sliced(query, key, part)).all()
    items = _with_attempts(connection, rows[: part.limit])
    return _listed(items, rows, part.limit, "delivery_id")


def enqueue(connection: Connection, values: Answer) -> Answer:
    """Insert a delivery, due at once, and return it."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(
        dialect.insert(table_of(DeliveryRow)).values(**values).on_conflict_do_nothing()
    )
    query = select(table_of(DeliveryRow)).where(_DELIVERIES.delivery_id == values["delivery_id"])
    return _with_attempts(connection, connection.execute(query).all())[0]


def send_again(
    connection: Connection, subscription_id: str, delivery_id: str, at: datetime
) -> Answer | None:
    """Have a delivery sent now, from the start of the schedule; None when there is none."""
    mine = and_(
        _DELIVERIES.delivery_id == delivery_id, _DELIVERIES.subscription_id == subscription_id
    )
    connection.execute(
        update(table_of(DeliveryRow))
        .where(mine)
        .values(state="pending", step=0, next_attempt_at=at, delivered_at=None)
    )
    rows = connection.execute(select(table_of(DeliveryRow)).where(mine)).all()
    return _with_attempts(connection, rows)[0] if rows else None


def asked_of(row: Any) -> Asked:
    """Return what a row asks for."""
    return Asked(row.site_id, row.rule, row.params, row.url, row.cooldown_seconds, row.enabled)


def record_of(subscription_id: str, asked: Asked, at: int) -> Subscription:
    """Return what the topic holds of a subscription that was changed `at` (microseconds)."""
    return Subscription(
        subscription_id=subscription_id,
        site_id=asked.site_id,
        rule=asked.rule,
        params=json.dumps(asked.params),
        cooldown_seconds=asked.cooldown_seconds,
        enabled=asked.enabled,
        updated_at=at,
    )


def shown(row: Any) -> Answer:
    """Return a subscription as HTTP shows it: all but the secret."""
    return {
        "subscription_id": row.subscription_id,
        "site_id": row.site_id,
        "rule": row.rule,
        "params": row.params,
        "channel": {"type": row.channel_type, "url": row.url},
        "cooldown_seconds": row.cooldown_seconds,
        "enabled": row.enabled,
        "disabled_reason": row.disabled_reason,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }


def micros(time: datetime) -> int:
    """Return a time in microseconds since 1970."""
    return int(time.timestamp()) * 1_000_000 + time.microsecond


def iso(time: datetime | None) -> str | None:
    """Return a time as answers show it."""
    return None if time is None else iso_utc(micros(time))


def _changing(asked: Asked, at: datetime) -> Answer:
    return {
        "params": asked.params,
        "url": asked.url,
        "cooldown_seconds": asked.cooldown_seconds,
        "enabled": asked.enabled,
        "updated_at": at,
    }


def _cancel(connection: Connection, subscription_id: str) -> None:
    connection.execute(
        update(table_of(DeliveryRow))
        .where(_DELIVERIES.subscription_id == subscription_id, _DELIVERIES.state == "pending")
        .values(state="cancelled", next_attempt_at=None)
    )


def _sliced(query: Select[Any], key: tuple[Any, Any], part: Slice) -> Any:
    """Return the query for one page and one row more, which tells whether there is another."""
    made, name = key
    if (after := part.after) is not None:
        query = query.where(or_(made < after[0], and_(made == after[0], name < after[1])))
    if part.since is not None:
        query = query.where(made >= part.since)
    if part.until is not None:
        query = query.where(made < part.until)
    return query.order_by(made.desc(), name.desc()).limit(part.limit + 1)


def _listed(items: list[Answer], rows: Sequence[Any], limit: int, name: str) -> Answer:
    more = len(rows) > limit
    last = rows[limit - 1] if more else None
    cursor = cursor_of(last.created_at, getattr(last, name)) if last is not None else None
    return {"items": items[:limit], "next_cursor": cursor}


def _with_attempts(connection: Connection, rows: Sequence[Any]) -> list[Answer]:
    attempts: dict[str, list[Answer]] = {row.delivery_id: [] for row in rows}
    found = connection.execute(
        select(table_of(DeliveryAttemptRow))
        .where(_ATTEMPTS.delivery_id.in_(list(attempts)))
        .order_by(_ATTEMPTS.delivery_id, _ATTEMPTS.attempt)
    )
    for row in found:
        attempts[row.delivery_id].append(
            {
                "attempt": row.attempt,
                "at": iso(row.at),
                "status": row.status,
                "error": row.error,
                "duration_ms": row.duration_ms,
            }
        )
    return [_delivery(row, attempts[row.delivery_id]) for row in rows]


def _delivery(row: Any, attempts: list[Answer]) -> Answer:
    body = row.body if isinstance(row.body, dict) else json.loads(row.body)
    return {
        "delivery_id": row.delivery_id,
        "subscription_id": row.subscription_id,
        "site_id": row.site_id,
        "type": body["type"],
        "alert_id": row.alert_id,
        "rule": row.rule,
        "subject": row.subject,
        "state": row.state,
        "attempts": attempts,
        "next_attempt_at": iso(row.next_attempt_at),
        "created_at": iso(row.created_at),
        "delivered_at": iso(row.delivered_at),
    }
