"""Queries on subscriptions. Functions of a connection."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    Connection,
    Subquery,
    Text,
    delete,
    func,
    insert,
    literal,
    select,
    true,
    update,
)

from schemas.records import Subscription
from sinks.delivery.subscription_spec import SubscriptionSpec
from sinks.paging import Page, Slice, item_of, page_of
from sinks.sql.keyset import newest_first
from sinks.sql.tables import DeliveryRow, SubscriptionRow, table_of

JsonObject = dict[str, Any]

_TABLE = table_of(SubscriptionRow)
_SUBSCRIPTIONS = _TABLE.c
_DELIVERIES = table_of(DeliveryRow).c


def find(connection: Connection, subscription_id: str) -> Any | None:
    """Return the row of a subscription; None if it does not exist."""
    query = select(_TABLE).where(_SUBSCRIPTIONS.subscription_id == subscription_id)
    return connection.execute(query).first()


def all_rows(connection: Connection) -> list[Any]:
    """Return the rows of all subscriptions."""
    return list(connection.execute(select(_TABLE)))


def count(connection: Connection, site_id: str) -> int:
    """Return the number of subscriptions of a site."""
    query = select(func.count()).select_from(_TABLE).where(_SUBSCRIPTIONS.site_id == site_id)
    return int(connection.execute(query).scalar_one())


def lock_site(connection: Connection, site_id: str) -> None:
    """Take the lock for adding subscriptions of a site, until the transaction ends.

    SQLite needs none, because its transactions hold the write lock.
    """
    if connection.dialect.name == "postgresql":
        key = func.hashtextextended(f"headrace subscriptions of {site_id}", 0)
        connection.execute(select(func.pg_advisory_xact_lock(key)))


def add(
    connection: Connection, subscription_id: str, spec: SubscriptionSpec, secret: str, at: datetime
) -> Any:
    """Insert a subscription and return its row."""
    connection.execute(
        insert(_TABLE).values(
            subscription_id=subscription_id,
            site_id=spec.site_id,
            rule=spec.rule,
            channel_type="webhook",
            secret=secret,
            created_at=at,
            **_mutable_columns(spec, at),
        )
    )
    return find(connection, subscription_id)


def change(
    connection: Connection,
    subscription_id: str,
    spec: SubscriptionSpec,
    reason: str | None,
    at: datetime,
) -> Any | None:
    """Update a subscription unless it has a later change; return its row.

    Cancels its pending deliveries if it is disabled. Returns None if it does not exist.
    """
    connection.execute(
        update(_TABLE)
        .where(_SUBSCRIPTIONS.subscription_id == subscription_id, _SUBSCRIPTIONS.updated_at < at)
        .values(disabled_reason=reason, **_mutable_columns(spec, at))
    )
    row = find(connection, subscription_id)
    if row is not None and not row.enabled:
        _cancel(connection, subscription_id)
    return row


def remove(connection: Connection, subscription_id: str) -> bool:
    """Delete a subscription and cancel its pending deliveries; return False if it did not exist."""
    _cancel(connection, subscription_id)
    query = delete(_TABLE).where(_SUBSCRIPTIONS.subscription_id == subscription_id)
    return bool(connection.execute(query).rowcount)


def page(connection: Connection, sites: Sequence[str] | None, slice_: Slice) -> Page:
    """Return a page of the subscriptions of sites (None: of all sites), newest first."""
    key = (_SUBSCRIPTIONS.created_at, _SUBSCRIPTIONS.subscription_id)
    query = select(_TABLE)
    if sites is not None:
        newest = _newest_ids(connection, sites, slice_)
        query = query.where(_SUBSCRIPTIONS.subscription_id.in_(newest))
    rows = connection.execute(newest_first(query, key, slice_)).all()
    return page_of([*map(to_json, rows)], slice_.limit, ("created_at", "subscription_id"))


def spec_of(row: Any) -> SubscriptionSpec:
    """Return the fields of a row that requests can set."""
    return SubscriptionSpec(
        row.site_id, row.rule, row.params, row.url, row.cooldown_seconds, row.enabled
    )


def record_of(subscription_id: str, spec: SubscriptionSpec, at: int) -> Subscription:
    """Return the Kafka record of a subscription that was changed at `at` (µs since 1970)."""
    return Subscription(
        subscription_id=subscription_id,
        site_id=spec.site_id,
        rule=spec.rule,
        params=json.dumps(spec.params),
        cooldown_seconds=spec.cooldown_seconds,
        enabled=spec.enabled,
        updated_at=at,
    )


def to_json(row: Any) -> JsonObject:
    """Return a subscription as a JSON object, without its secret."""
    item = item_of(row._asdict())
    del item["secret"]
    return item | {"channel": {"type": item.pop("channel_type"), "url": item.pop("url")}}


def _mutable_columns(spec: SubscriptionSpec, at: datetime) -> JsonObject:
    return {
        "params": spec.params,
        "url": spec.url,
        "cooldown_seconds": spec.cooldown_seconds,
        "enabled": spec.enabled,
        "updated_at": at,
    }


def _cancel(connection: Connection, subscription_id: str) -> None:
    connection.execute(
        update(table_of(DeliveryRow))
        .where(_DELIVERIES.subscription_id == subscription_id, _DELIVERIES.state == "pending")
        .values(state="cancelled", next_attempt_at=None)
    )


def _newest_ids(connection: Connection, sites: Sequence[str], slice_: Slice) -> list[str]:
    """Return the subscription ids of a page of sites.

    Reads an index range for each site. With `site_id IN (…)` the planner may read all sites. The
    sites are a single parameter.
    """
    key = (_SUBSCRIPTIONS.created_at, _SUBSCRIPTIONS.subscription_id)
    if connection.dialect.name == "postgresql":
        names = func.unnest(literal(list(sites), ARRAY(Text)))
        each = names.table_valued("site_id").render_derived()
        of_site = select(*key).where(_SUBSCRIPTIONS.site_id == each.c.site_id)
        newest = newest_first(of_site, key, slice_).lateral()
        query = select(newest).select_from(each.join(newest, true()))
        found: CTE | Subquery = query.subquery()
    else:  # SQLite has no LATERAL; a site has at most a hundred subscriptions
        each = func.json_each(json.dumps(list(sites))).table_valued("value")
        query = select(*key).where(_SUBSCRIPTIONS.site_id.in_(select(each.c.value)))
        found = query.cte("of_sites").prefix_with("MATERIALIZED")
    (created_at, subscription_id) = found.c
    ids = newest_first(select(subscription_id), (created_at, subscription_id), slice_)
    return list(connection.execute(ids).scalars())
