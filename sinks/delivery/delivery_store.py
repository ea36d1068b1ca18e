"""Queries on the deliveries of a subscription, and their attempts. Functions of a connection."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from sinks.paging import Page, Slice, iso, item_of, page_of
from sinks.sql.keyset import newest_first
from sinks.sql.tables import DeliveryAttemptRow, DeliveryRow, table_of

JsonObject = dict[str, Any]

_TABLE = table_of(DeliveryRow)
_DELIVERIES = _TABLE.c
_ATTEMPTS = table_of(DeliveryAttemptRow)


def page(connection: Connection, subscription_id: str, slice_: Slice) -> Page:
    """Return a page of a subscription's deliveries, newest first, with their attempts."""
    query = select(_TABLE).where(_DELIVERIES.subscription_id == subscription_id)
    key = (_DELIVERIES.created_at, _DELIVERIES.delivery_id)
    rows = connection.execute(newest_first(query, key, slice_)).all()
    items = _with_attempts(connection, rows)
    return page_of(items, slice_.limit, ("created_at", "delivery_id"))


def add_test(connection: Connection, row: Any, delivery_id: str, at: datetime) -> JsonObject | None:
    """Insert a test delivery to a subscription, due immediately, and return it."""
    alert = {
        "alert_id": delivery_id,
        "site_id": row.site_id,
        "rule": row.rule,
        "subject": "test",
        "title": "This is a test of your subscription",
        "details": {"site_id": row.site_id},
        "event_id": None,
        "raised_at": iso(at),
        "subscription_id": row.subscription_id,
        "seq": 0,
    }
    values = {
        "delivery_id": delivery_id,
        "subscription_id": row.subscription_id,
        "site_id": row.site_id,
        "rule": row.rule,
        "subject": "test",
        "raised_at": at,
        "body": {"type": "test", "timestamp": iso(at), "data": alert},
        "state": "pending",
        "attempts": 0,
        "step": 0,
        "next_attempt_at": at,
        "created_at": at,
    }
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(_TABLE).values(**values).on_conflict_do_nothing())
    return _delivery(connection, _DELIVERIES.delivery_id == delivery_id)


def resend(
    connection: Connection, subscription_id: str, delivery_id: str, at: datetime
) -> JsonObject | None:
    """Restart the schedule of a delivery at `at`, and return it; None if it does not exist."""
    condition = and_(
        _DELIVERIES.delivery_id == delivery_id, _DELIVERIES.subscription_id == subscription_id
    )
    connection.execute(
        update(_TABLE)
        .where(condition)
        .values(state="pending", step=0, next_attempt_at=at, delivered_at=None)
    )
    return _delivery(connection, condition)


def _delivery(connection: Connection, condition: ColumnElement[bool]) -> JsonObject | None:
    rows = connection.execute(select(_TABLE).where(condition)).all()
    return next(iter(_with_attempts(connection, rows)), None)


def _with_attempts(connection: Connection, rows: Sequence[Any]) -> list[JsonObject]:
    """Return deliveries as JSON objects with their attempts."""
    attempts: dict[str, list[JsonObject]] = {row.delivery_id: [] for row in rows}
    attempt_rows = connection.execute(
        select(_ATTEMPTS)
        .where(_ATTEMPTS.c.delivery_id.in_(list(attempts)))
        .order_by(_ATTEMPTS.c.delivery_id, _ATTEMPTS.c.attempt)
    )
    for row in attempt_rows:
        attempts[row.delivery_id].append(item_of(row._asdict()))
    return [
        item_of(row._asdict()) | {"type": row.body["type"], "attempts": attempts[row.delivery_id]}
        for row in rows
    ]
