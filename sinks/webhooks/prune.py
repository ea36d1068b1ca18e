"""Deliveries that are done go when nobody needs them any more, and their attempts with them.

A few at once, in a transaction of their own, so that nobody waits long for what it locks.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, delete, select
from sqlalchemy.exc import SQLAlchemyError

from sinks.sql.engine import Database
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


class Owner(NamedTuple):
    """One whose deliveries are kept, and its cooldown; one that is gone has none."""

    subscription_id: str
    cooldown_seconds: int


class Pruning:
    """Deletes what is done and was made longer than `kept` ago.

    Nothing that a cooldown still needs: it is measured from the deliveries that there are.
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
                    log.info("%d deliveries were done long ago, and are deleted", pruned)
            except (SQLAlchemyError, OSError) as error:
                log.warning("old deliveries are not deleted now: %s", type(error).__name__)
            await asyncio.sleep(_EVERY_SECONDS)

    async def prune(self) -> int:
        """Prune once, one subscription after the other; returns how many deliveries went."""
        pruned, owner = 0, await self._owner_after(None)
        while owner is not None:
            pruned += await self._prune_of(owner)
            owner = await self._owner_after(owner.subscription_id)
        return pruned

    async def _owner_after(self, subscription_id: str | None) -> Owner | None:
        return await self._database.run(lambda connection: owner_after(connection, subscription_id))

    async def _prune_of(self, owner: Owner) -> int:
        kept = max(self._kept, timedelta(seconds=owner.cooldown_seconds))
        before, pruned = self._clock() - kept, 0
        while some := await self._database.run(
            lambda connection: delete_some(connection, owner.subscription_id, before, AT_ONCE)
        ):
            pruned += some
            await asyncio.sleep(_PAUSE_SECONDS)
        return pruned


def owner_after(connection: Connection, subscription_id: str | None) -> Owner | None:
    """Return the next one with deliveries, by id, whether it is still subscribed or not."""
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
    row = connection.execute(query).first()
    return None if row is None else Owner(row.subscription_id, row.cooldown_seconds or 0)


def delete_some(connection: Connection, subscription_id: str, before: datetime, most: int) -> int:
    """Delete some of a subscription that are done and were made before; returns how many."""
    names = list(
        connection.execute(
            select(_DELIVERIES.delivery_id)
            .where(
                _DELIVERIES.subscription_id == subscription_id,
                _DELIVERIES.created_at < before,
                _DELIVERIES.state != "pending",
            )
            .order_by(_DELIVERIES.created_at)
            .limit(most)
            .with_for_update(skip_locked=True)  # nothing on SQLite: its transaction has the lock
        ).scalars()
    )
    for model in (DeliveryAttemptRow, DeliveryRow):
        table = table_of(model)
        connection.execute(delete(table).where(table.c.delivery_id.in_(names)))
    return len(names)
