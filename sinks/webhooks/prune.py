"""Retention: delete deliveries that are done, with their attempts.

A few at a time, each in its own transaction, so that nobody waits long for its locks.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, delete, select

from schemas.counted import counted
from sinks.sql.engine import Database
from sinks.sql.errors import DATABASE_ERRORS
from sinks.sql.tables import DeliveryAttemptRow, DeliveryRow, SubscriptionRow, table_of
from sinks.sql.types import now_utc

log = logging.getLogger(__name__)

#: Deliveries of one transaction.
AT_ONCE = 200
#: Between two transactions: room for others.
_PAUSE_SECONDS = 0.05
_EVERY_SECONDS = 3_600.0

_DELIVERIES = table_of(DeliveryRow).c
_SUBSCRIPTIONS = table_of(SubscriptionRow).c


class Pruning:
    """Deletes deliveries that are done and were made longer than `kept` ago.

    A subscription's cooldown is measured from its deliveries: it keeps those for as long.
    """

    def __init__(
        self, database: Database, kept: timedelta, clock: Callable[[], datetime] = now_utc
    ) -> None:
        self._database = database
        self._kept = kept
        self._clock = clock

    async def run(self) -> None:
        """Prune every hour until cancelled."""
        while True:
            try:
                if pruned := await self.prune():
                    log.info(
                        "deleted %s that ended long ago", counted(pruned, "delivery", "deliveries")
                    )
            except DATABASE_ERRORS as error:
                log.warning("old deliveries are not deleted now: %s", type(error).__name__)
            await asyncio.sleep(_EVERY_SECONDS)

    async def prune(self) -> int:
        """Prune once, one subscription after the other; return how many deliveries were deleted."""
        pruned, owner = 0, await self._database.run(partial(owner_after, subscription_id=None))
        while owner is not None:
            (name, cooldown_seconds) = owner
            kept = max(self._kept, timedelta(seconds=cooldown_seconds or 0))
            before = self._clock() - kept
            delete = partial(delete_some, subscription_id=name, before=before)
            while some := await self._database.run(delete):
                pruned += some
                await asyncio.sleep(_PAUSE_SECONDS)
            owner = await self._database.run(partial(owner_after, subscription_id=name))
        return pruned


def owner_after(connection: Connection, subscription_id: str | None) -> Any:
    """Return the next id with deliveries, and the cooldown if it is still subscribed."""
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
    if subscription_id is not None:
        query = query.where(_DELIVERIES.subscription_id > subscription_id)
    return connection.execute(query).first()


def delete_some(connection: Connection, subscription_id: str, before: datetime) -> int:
    """Delete some of a subscription that are done and were made before; return how many."""
    names = list(
        connection.execute(
            select(_DELIVERIES.delivery_id)
            .where(
                _DELIVERIES.subscription_id == subscription_id,
                _DELIVERIES.created_at < before,
                _DELIVERIES.state != "pending",
            )
            .order_by(_DELIVERIES.created_at)
            .limit(AT_ONCE)
            .with_for_update(skip_locked=True)  # nothing on SQLite: its transaction has the lock
        ).scalars()
    )
    for model in (DeliveryAttemptRow, DeliveryRow):
        table = table_of(model)
        connection.execute(delete(table).where(table.c.delivery_id.in_(names)))
    return len(names)
