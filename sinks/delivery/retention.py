"""Retention of deliveries: purge finished ones and their attempts.

They are deleted in small transactions, so that locks are held only briefly.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, delete, select

from schemas.plurals import counted
from sinks.sql.engine import Database
from sinks.sql.errors import DATABASE_ERRORS
from sinks.sql.tables import DeliveryAttemptRow, DeliveryRow, SubscriptionRow, table_of
from sinks.sql.types import now_utc

log = logging.getLogger(__name__)

#: Deliveries per transaction.
BATCH_SIZE = 200
#: The pause between two transactions, in which others can take the lock.
_PAUSE_SECONDS = 0.05
_INTERVAL_SECONDS = 3_600.0

_DELIVERIES = table_of(DeliveryRow).c
_SUBSCRIPTIONS = table_of(SubscriptionRow).c


class Retention:
    """Purges finished deliveries that were created before the retention period.

    The deliveries of a subscription are kept at least for its cooldown, which is measured from
    them.
    """

    def __init__(
        self, database: Database, period: timedelta, clock: Callable[[], datetime] = now_utc
    ) -> None:
        self._database = database
        self._period = period
        self._clock = clock

    async def run(self) -> None:
        """Purge every hour until cancelled."""
        while True:
            try:
                if deleted := await self.purge():
                    log.info("purged %s", counted(deleted, "old delivery", "old deliveries"))
            except DATABASE_ERRORS as error:
                log.warning("cannot purge old deliveries: %s; retrying", type(error).__name__)
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def purge(self) -> int:
        """Purge once, subscription by subscription; return the number of deleted deliveries."""
        total = 0
        row = await self._database.run(partial(next_subscription, after=None))
        while row is not None:
            (subscription_id, cooldown_seconds) = row
            period = max(self._period, timedelta(seconds=cooldown_seconds or 0))
            before = self._clock() - period
            delete = partial(delete_batch, subscription_id=subscription_id, before=before)
            while deleted := await self._database.run(delete):
                total += deleted
                await asyncio.sleep(_PAUSE_SECONDS)
            row = await self._database.run(partial(next_subscription, after=subscription_id))
        return total


def next_subscription(connection: Connection, after: str | None) -> Any:
    """Return the next `(subscription_id, cooldown_seconds)` that has deliveries, in order of id.

    The cooldown is null if the subscription was deleted.
    """
    query = (
        select(_DELIVERIES.subscription_id, _SUBSCRIPTIONS.cooldown_seconds)
        .join_from(
            table_of(DeliveryRow),
            table_of(SubscriptionRow),
            _DELIVERIES.subscription_id == _SUBSCRIPTIONS.subscription_id,
            isouter=True,
        )
        .order_by(_DELIVERIES.subscription_id)
        .limit(1)
    )
    if after is not None:
        query = query.where(_DELIVERIES.subscription_id > after)
    return connection.execute(query).first()


def delete_batch(connection: Connection, subscription_id: str, before: datetime) -> int:
    """Delete up to 200 finished deliveries of a subscription; return the number deleted.

    Only those created before `before`, oldest first.
    """
    delivery_ids = list(
        connection.execute(
            select(_DELIVERIES.delivery_id)
            .where(
                _DELIVERIES.subscription_id == subscription_id,
                _DELIVERIES.created_at < before,
                _DELIVERIES.state != "pending",
            )
            .order_by(_DELIVERIES.created_at)
            .limit(BATCH_SIZE)
            .with_for_update(skip_locked=True)  # ignored by SQLite, which holds the write lock
        ).scalars()
    )
    for model in (DeliveryAttemptRow, DeliveryRow):
        table = table_of(model)
        connection.execute(delete(table).where(table.c.delivery_id.in_(delivery_ids)))
    return len(delivery_ids)
