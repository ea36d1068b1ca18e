"""The outbox of deliveries: what is due, leases and results. Functions of a connection.

A claimed delivery stays `pending`, and its next attempt is put off by a lease: if the process
dies, another one claims the delivery when the lease has expired. A result counts only for its own
attempt, so a late one changes nothing.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    and_,
    exists,
    func,
    insert,
    select,
    true,
    update,
)

from sinks.sql.tables import DeliveryAttemptRow, DeliveryRow, SubscriptionRow, table_of
from sinks.webhooks.schedule import Outcome
from sinks.webhooks.sender import TIMEOUT_SECONDS

#: Longer than any attempt with what comes after it.
LEASE = timedelta(seconds=2 * TIMEOUT_SECONDS)
#: What an attempt is told to be that has no result: under way, or its process ended.
NO_RESULT = "no result: it is under way, or was interrupted"

_DELIVERIES = table_of(DeliveryRow).c
_SUBSCRIPTIONS = table_of(SubscriptionRow).c


class Claimed(NamedTuple):
    """A delivery in hand, and where it goes."""

    delivery_id: str
    subscription_id: str
    attempt: int
    step: int
    body: Any
    url: str
    secret: str


def first_due(connection: Connection) -> datetime | None:
    """Return when the first delivery is due of those that wait; it may be long ago."""
    query = select(func.min(_first())).where(_SUBSCRIPTIONS.enabled == true())
    found: datetime | None = connection.execute(query).scalar()
    return found


def claim(
    connection: Connection, now: datetime, room: Mapping[str, int], usual: int, most: int
) -> list[Claimed]:
    """Take what is due in hand: of each subscription `usual` or, if named in it, its `room`.

    Those with the longest wait come first; at most `most` in all.
    """
    claimed: list[Claimed] = []
    for subscription in _with_due(connection, now):
        left = min(room.get(subscription.subscription_id, usual), most - len(claimed))
        if left > 0:
            claimed += _claim_of(connection, subscription, now, left)
    return claimed


def finish(
    connection: Connection, done: Claimed, outcome: Outcome, next_at: datetime | None, now: datetime
) -> str | None:
    """Note how an attempt ended; returns the delivery's state, None when it is not ours any more.

    A failed one is tried again at `next_at`, or has failed for good.
    """
    attempts = table_of(DeliveryAttemptRow)
    connection.execute(
        update(attempts)
        .where(attempts.c.delivery_id == done.delivery_id, attempts.c.attempt == done.attempt)
        .values(status=outcome.status, error=outcome.error, duration_ms=outcome.duration_ms)
    )
    changes: dict[str, Any]
    if outcome.is_success:
        state, changes = "delivered", {"delivered_at": now, "next_attempt_at": None}
    elif next_at is None:
        state, changes = "failed", {"step": done.step + 1, "next_attempt_at": None}
    else:
        state, changes = "pending", {"step": done.step + 1, "next_attempt_at": next_at}
    changed = connection.execute(
        update(table_of(DeliveryRow))
        .where(
            _DELIVERIES.delivery_id == done.delivery_id,
            _DELIVERIES.attempts == done.attempt,
            _DELIVERIES.state == "pending",
        )
        .values(state=state, **changes)
    )
    return state if changed.rowcount else None


def has_orphans(connection: Connection) -> bool:
    """Return True if deliveries are pending for subscriptions that are off or gone."""
    query = select(_DELIVERIES.delivery_id).where(_is_orphan()).limit(1)
    return connection.execute(query).first() is not None


def cancel_orphans(connection: Connection) -> None:
    """Cancel pending deliveries of subscriptions that are off or gone."""
    connection.execute(
        update(table_of(DeliveryRow))
        .where(_is_orphan())
        .values(state="cancelled", next_attempt_at=None)
    )


def _is_orphan() -> ColumnElement[bool]:
    on = exists().where(
        _SUBSCRIPTIONS.subscription_id == _DELIVERIES.subscription_id,
        _SUBSCRIPTIONS.enabled == true(),
    )
    return and_(_DELIVERIES.state == "pending", ~on)


def _with_due(connection: Connection, now: datetime) -> list[Any]:
    """Return the enabled subscriptions with something due, those that wait longest first."""
    first = _first()
    return list(
        connection.execute(
            select(_SUBSCRIPTIONS.subscription_id, _SUBSCRIPTIONS.url, _SUBSCRIPTIONS.secret)
            .where(_SUBSCRIPTIONS.enabled == true(), first <= now)
            .order_by(first)
        )
    )


def _first() -> ScalarSelect[datetime | None]:
    """Return when a subscription's first delivery is due: one look into an index for each."""
    return (
        select(func.min(_DELIVERIES.next_attempt_at))
        .where(
            _DELIVERIES.subscription_id == _SUBSCRIPTIONS.subscription_id,
            _DELIVERIES.state == "pending",
        )
        .scalar_subquery()
    )


def _claim_of(connection: Connection, subscription: Any, now: datetime, most: int) -> list[Claimed]:
    due = connection.execute(
        select(_DELIVERIES.delivery_id, _DELIVERIES.attempts, _DELIVERIES.step, _DELIVERIES.body)
        .where(
            _DELIVERIES.subscription_id == subscription.subscription_id,
            _DELIVERIES.state == "pending",
            _DELIVERIES.next_attempt_at <= now,
        )
        .order_by(_DELIVERIES.next_attempt_at)
        .limit(most)
        .with_for_update(skip_locked=True)  # nothing on SQLite: its transaction has the lock
    ).all()
    return [_lease(connection, row, subscription, now) for row in due]


def _lease(connection: Connection, row: Any, subscription: Any, now: datetime) -> Claimed:
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
    return Claimed(row.delivery_id, subscription_id, attempt, row.step, row.body, url, secret)
