"""Subscriptions and deliveries in SQL, for those who ask: functions of a connection."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    Connection,
    Select,
    Subquery,
    Text,
    and_,
    delete,
    func,
    insert,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from schemas.records import Subscription
from sinks.paging import Page, Slice, iso, item_of, page_of
from sinks.sql.keyset import newest_first
from sinks.sql.tables import DeliveryAttemptRow, DeliveryRow, SubscriptionRow, table_of
from sinks.webhooks.asked import Asked

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


def lock_site(connection: Connection, site_id: str) -> None:
    """Keep others from adding subscriptions of a site until the transaction ends.

    On SQLite every transaction that writes has the database to itself.
    """
    if connection.dialect.name == "postgresql":
        key = func.hashtextextended(f"headrace subscriptions of {site_id}", 0)
        connection.execute(select(func.pg_advisory_xact_lock(key)))


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


def page(connection: Connection, sites: Sequence[str] | None, part: Slice) -> Page:
    """Return subscriptions by the time they were made, newest first."""
    key = (_SUBSCRIPTIONS.created_at, _SUBSCRIPTIONS.subscription_id)
    query = select(_TABLE)
    if sites is not None:
        newest = _newest_of(connection, sites, part)
        query = query.where(_SUBSCRIPTIONS.subscription_id.in_(newest))
    rows = connection.execute(_sliced(query, key, part)).all()
    return page_of([*map(shown, rows)], part.limit, ("created_at", "subscription_id"))


def deliveries(connection: Connection, subscription_id: str, part: Slice) -> Page:
    """Return a subscription's deliveries by the time they were made, newest first."""
    query = select(table_of(DeliveryRow)).where(_DELIVERIES.subscription_id == subscription_id)
    key = (_DELIVERIES.created_at, _DELIVERIES.delivery_id)
    rows = connection.execute(_sliced(query, key, part)).all()
    items = _with_attempts(connection, rows)
    return page_of(items, part.limit, ("created_at", "delivery_id"))


def add_test(connection: Connection, row: Any, delivery_id: str, at: datetime) -> Answer | None:
    """Insert a delivery of a test to a subscription, due at once, and return it."""
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
    connection.execute(
        dialect.insert(table_of(DeliveryRow)).values(**values).on_conflict_do_nothing()
    )
    return _delivery(connection, _DELIVERIES.delivery_id == delivery_id)


def send_again(
    connection: Connection, subscription_id: str, delivery_id: str, at: datetime
) -> Answer | None:
    """Have a delivery sent now, from the start of its schedule; None when there is none."""
    mine = and_(
        _DELIVERIES.delivery_id == delivery_id, _DELIVERIES.subscription_id == subscription_id
    )
    connection.execute(
        update(table_of(DeliveryRow))
        .where(mine)
        .values(state="pending", step=0, next_attempt_at=at, delivered_at=None)
    )
    return _delivery(connection, mine)


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
    item = _item(row)
    del item["secret"]
    return item | {"channel": {"type": item.pop("channel_type"), "url": item.pop("url")}}


def micros(time: datetime) -> int:
    """Return a time in microseconds since 1970."""
    return int(time.timestamp()) * 1_000_000 + time.microsecond


def _item(row: Any) -> Answer:
    return item_of(row._asdict())


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


def _newest_of(connection: Connection, sites: Sequence[str], part: Slice) -> list[str]:
    """Return the ids of a page of these sites: the newest of each site are a range of an index.

    The sites are one parameter. With `site_id IN (…)` alone it is for the planner to guess, which
    may read those of all sites.
    """
    key = (_SUBSCRIPTIONS.created_at, _SUBSCRIPTIONS.subscription_id)
    if connection.dialect.name == "postgresql":
        names = func.unnest(literal(list(sites), ARRAY(Text)))
        each = names.table_valued("site_id").render_derived()
        of_site = select(*key).where(_SUBSCRIPTIONS.site_id == each.c.site_id)
        newest = _sliced(of_site, key, part).lateral()
        query = select(newest).select_from(each.join(newest, true()))
        found: CTE | Subquery = query.subquery()
    else:  # SQLite has no LATERAL, and a site a hundred subscriptions at most
        each = func.json_each(json.dumps(list(sites))).table_valued("value")
        query = select(*key).where(_SUBSCRIPTIONS.site_id.in_(select(each.c.value)))
        found = query.cte("of_sites").prefix_with("MATERIALIZED")
    (created_at, subscription_id) = found.c
    ids = _sliced(select(subscription_id), (created_at, subscription_id), part)
    return list(connection.execute(ids).scalars())


def _sliced(query: Select[Any], key: tuple[Any, Any], part: Slice) -> Select[Any]:
    """Return the query for one page and one row more, which tells whether there is another."""
    (limit, after, since, until) = part
    return newest_first(query, key, after, since, until).limit(limit + 1)


def _delivery(connection: Connection, condition: ColumnElement[bool]) -> Answer | None:
    rows = connection.execute(select(table_of(DeliveryRow)).where(condition)).all()
    return next(iter(_with_attempts(connection, rows)), None)


def _with_attempts(connection: Connection, rows: Sequence[Any]) -> list[Answer]:
    """Return deliveries as HTTP shows them."""
    attempts: dict[str, list[Answer]] = {row.delivery_id: [] for row in rows}
    found = connection.execute(
        select(table_of(DeliveryAttemptRow))
        .where(_ATTEMPTS.delivery_id.in_(list(attempts)))
        .order_by(_ATTEMPTS.delivery_id, _ATTEMPTS.attempt)
    )
    for row in found:
        attempts[row.delivery_id].append(_item(row))
    return [
        _item(row) | {"type": row.body["type"], "attempts": attempts[row.delivery_id]}
        for row in rows
    ]
