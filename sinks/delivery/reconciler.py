"""Reconcile the `subscriptions` table with its topic after partial writes.

The topic is written first and is authoritative. A record without a row is deleted by a tombstone,
because the subscription has no secret to sign deliveries with.
"""

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.records import Subscription
from schemas.topics import SUBSCRIPTIONS
from sinks.delivery import queue, subscription_store
from sinks.delivery.topic_reconciler import TopicReconciler
from sinks.sql.types import micros

log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Reconciler(TopicReconciler[Subscription]):
    """Mirrors the topic into memory, and periodically compares the table with it."""

    topic = SUBSCRIPTIONS
    record_type = Subscription

    async def reconcile(self) -> None:
        """Compare table and topic once, and repair the differences."""
        rows = {
            row.subscription_id: row for row in await self._reader.run(subscription_store.all_rows)
        }
        for subscription_id in list(self._records.keys() - rows.keys()):
            await self._reconcile_record(subscription_id)
        for subscription_id, row in rows.items():
            await self._reconcile_row(subscription_id, row)
        if await self._reader.run(queue.has_orphans):
            await self._database.run(queue.cancel_orphans)

    async def _reconcile_record(self, subscription_id: str) -> None:
        """Delete a record without a row; a tombstone is removed from memory."""
        record = self._records[subscription_id]
        if record is None:
            del self._records[subscription_id]
        elif self.is_settled(_time(record)):
            log.warning("subscription %s is only in Kafka: deleting it", subscription_id)
            await self._publish(subscription_id, None)

    async def _reconcile_row(self, subscription_id: str, row: Any) -> None:
        if subscription_id in self._records:
            record = self._records[subscription_id]
            if record is None:
                log.warning("subscription %s is deleted in Kafka: deleting it", subscription_id)
                await self._database.run(
                    lambda connection: subscription_store.remove(connection, subscription_id)
                )
            elif row.updated_at < _time(record) and self.is_settled(_time(record)):
                log.warning("subscription %s is newer in Kafka: updating it", subscription_id)
                await self._update_row(row, record)
        elif self.is_settled(row.updated_at):
            log.warning("subscription %s is not in Kafka: publishing it", subscription_id)
            record = subscription_store.record_of(
                subscription_id,
                subscription_store.spec_of(row),
                micros(row.updated_at),
            )
            await self._publish(subscription_id, record)

    async def _update_row(self, row: Any, record: Subscription) -> None:
        spec = replace(
            subscription_store.spec_of(row),
            params=json.loads(record.params),
            cooldown_seconds=record.cooldown_seconds,
            enabled=record.enabled,
        )
        await self._database.run(
            lambda connection: subscription_store.change(
                connection, row.subscription_id, spec, row.disabled_reason, _time(record)
            )
        )


def _time(record: Subscription) -> datetime:
    return _EPOCH + timedelta(microseconds=record.updated_at)
