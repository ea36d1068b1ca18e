"""The delivery queue: claim due deliveries by lease and record results.

A claimed delivery stays `pending`; its `next_attempt_at` becomes the expiry of the lease, after
which another process may claim it. A result is ignored if the delivery was claimed again.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    ScalarSelect,
    and_,
    exists,
    func,
    insert,
    select,
    true,
    update,
)

from sinks.delivery.schedule import Outcome
from sinks.delivery.sender import TIMEOUT_SECONDS
from sinks.sql.keyset import indexed_by
from sinks.sql.tables import DeliveryAttemptRow, DeliveryRow, SubscriptionRow, table_of

#: Longer than an attempt and recording its result.
LEASE = timedelta(seconds=2 * TIMEOUT_SECONDS)
#: The `error` of an attempt that has not ended, or whose process died.
NO_RESULT = "no result: in progress or interrupted"

_DELIVERIES = table_of(DeliveryRow).c
_SUBSCRIPTIONS = table_of(SubscriptionRow).c


class ClaimedDelivery(NamedTuple):
    """A delivery that is leased to this process, with the URL and secret of its subscription."""

    delivery_id: str
    subscription_id: str
    attempt: int
    step: int
    body: Any
    url: str
    secret: str


def first_due(connection: Connection) -> datetime | None:
    """Return the earliest due time of all pending deliveries; None if there are none."""
    query = select(func.min(_first_due_time())).where(_SUBSCRIPTIONS.enabled == true())
    due: datetime | None = connection.execute(query).scalar()
    return due


def claim(
    connection: Connection,
    now: datetime,
    capacities: Mapping[str, int],
    default_capacity: int,
    limit: int,
) -> list[ClaimedDelivery]:
    """Claim up to `limit` due deliveries, those of the longest waiting subscriptions first.

    Per subscription at most its capacity in `capacities`, or else `default_capacity`.
    """
    claimed: list[ClaimedDelivery] = []
    for subscription in _due_subscriptions(connection, now):
        capacity = capacities.get(subscription.subscription_id, default_capacity)
        count = min(capacity, limit - len(claimed))
        if count > 0:
            claimed += _claim_of(connection, subscription, now, count)
    return claimed


def finish(
    connection: Connection,
    delivery: ClaimedDelivery,
    outcome: Outcome,
    next_at: datetime | None,
    now: datetime,
) -> str | None:
    """Record the result of an attempt; return the new state, or None if the lease was lost.

    A failed delivery is retried at `next_at`; None means that it has failed permanently.
    """
    attempts = table_of(DeliveryAttemptRow)
    connection.execute(
        update(attempts)
        .where(
            attempts.c.delivery_id == delivery.delivery_id,
            attempts.c.attempt == delivery.attempt,
        )
        .values(status=outcome.status, error=outcome.error, duration_ms=outcome.duration_ms)
    )
    changes: dict[str, Any]
    if outcome.is_success:
        state, changes = "delivered", {"delivered_at": now, "next_attempt_at": None}
    elif next_at is None:
        state, changes = "failed", {"step": delivery.step + 1, "next_attempt_at": None}
    else:
        state, changes = "pending", {"step": delivery.step + 1, "next_attempt_at": next_at}
    result = connection.execute(
        update(table_of(DeliveryRow))
        .where(
            _DELIVERIES.delivery_id == delivery.delivery_id,
            _DELIVERIES.attempts == delivery.attempt,
            _DELIVERIES.state == "pending",
        )
        .values(state=state, **changes)
    )
    return state if result.rowcount else None


def has_orphans(connection: Connection) -> bool:
    """Return True if deliveries are pending for disabled or deleted subscriptions."""
    # Otherwise SQLite may scan all deliveries, if it knows that most have the same state.
    index = "ix_deliveries_state_subscription_id_next_attempt_at"
    deliveries = indexed_by(connection, table_of(DeliveryRow), index)
    query = select(deliveries.c.delivery_id).where(_is_orphan(deliveries)).limit(1)
    return connection.execute(query).first() is not None


def cancel_orphans(connection: Connection) -> None:
    """Cancel the pending deliveries of disabled or deleted subscriptions."""
    connection.execute(
        update(table_of(DeliveryRow))
        .where(_is_orphan(table_of(DeliveryRow)))
        .values(state="cancelled", next_attempt_at=None)
    )


def _is_orphan(deliveries: FromClause) -> ColumnElement[bool]:
    is_enabled = exists().where(
        _SUBSCRIPTIONS.subscription_id == deliveries.c.subscription_id,
        _SUBSCRIPTIONS.enabled == true(),
    )
    return and_(deliveries.c.state == "pending", ~is_enabled)


def _due_subscriptions(connection: Connection, now: datetime) -> list[Any]:
    """Return the enabled subscriptions with due deliveries, the longest waiting first."""
    due = _first_due_time()
    return list(
        connection.execute(
            select(_SUBSCRIPTIONS.subscription_id, _SUBSCRIPTIONS.url, _SUBSCRIPTIONS.secret)
            .where(_SUBSCRIPTIONS.enabled == true(), due <= now)
            .order_by(due)
        )
    )


def _first_due_time() -> ScalarSelect[datetime | None]:
    """Return the subquery of a subscription's earliest due time: one index lookup."""
    return (
        select(func.min(_DELIVERIES.next_attempt_at))
        .where(
            _DELIVERIES.subscription_id == _SUBSCRIPTIONS.subscription_id,
            _DELIVERIES.state == "pending",
        )
        .scalar_subquery()
    )


def _claim_of(
    connection: Connection, subscription: Any, now: datetime, limit: int
) -> list[ClaimedDelivery]:
    due = connection.execute(
        select(_DELIVERIES.delivery_id, _DELIVERIES.attempts, _DELIVERIES.step, _DELIVERIES.body)
        .where(
            _DELIVERIES.subscription_id == subscription.subscription_id,
            _DELIVERIES.state == "pending",
            _DELIVERIES.next_attempt_at <= now,
        )
        .order_by(_DELIVERIES.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)  # ignored by SQLite, which holds the write lock
    ).all()
    return [_lease(connection, row, subscription, now) for row in due]


def _lease(connection: Connection, row: Any, subscription: Any, now: datetime) -> ClaimedDelivery:
    attempt = row.attempts + 1
    connection.execute(
        update(table_of(DeliveryRow))
        .where(_DELIVERIES.delivery_id == row.delivery_id)
        .values(attempts=attempt, next_attempt_at=now + LEASE)
    )
    connection.execute(
        insert(table_of(DeliveryAttemptRow)).values(
            delivery_id=row.delivery_id, attempt=attempt, at=now, error=NO_RESULT
        )
    )
    (subscription_id, url, secret) = subscription
    return ClaimedDelivery(
        row.delivery_id, subscription_id, attempt, row.step, row.body, url, secret
    )
