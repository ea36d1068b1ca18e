"""Reconcile SQL with the topic of subscriptions, when only the first of two writes was done.

The topic is written first, and is right. But a subscription that is in the topic alone has no
secret: nobody could verify what we send, so it is retracted.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.codec import CodecError, decode
from schemas.records import Subscription
from sinks.sql.engine import Database
from sinks.sql.errors import DATABASE_ERRORS
from sinks.sql.types import now_utc
from sinks.webhooks import queue, records
from sinks.webhooks.topic import Publish, Unavailable

log = logging.getLogger(__name__)

#: A change this young may still be on its way to SQL, or to us; the service gives up sooner.
GRACE = timedelta(seconds=60)
_EVERY_SECONDS = 30.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Mending:
    """Knows the topic, which it is given record by record, and compares SQL with it."""

    def __init__(
        self,
        database: Database,
        reader: Database,
        publish: Publish,
        clock: Callable[[], datetime] = now_utc,
    ) -> None:
        self._database = database
        #: To compare is to read all, which shall hold nobody back.
        self._reader = reader
        self._publish = publish
        self._clock = clock
        self._topic: dict[str, Subscription | None] = {}

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take in the next record; one that cannot be read is as if it were not there."""
        try:
            name = (key or b"").decode()
            self._topic[name] = None if value is None else decode(value, Subscription)
        except (CodecError, UnicodeError) as error:
            log.warning("a record of the subscriptions is left out: %r: %s", key, error)

    async def run(self, complete: Callable[[], Awaitable[None]]) -> None:
        """Mend again and again, once the topic is known as a whole."""
        await complete()
        while True:
            try:
                await self.mend()
            except (Unavailable, *DATABASE_ERRORS) as error:
                log.warning("subscriptions are not compared now: %s", type(error).__name__)
            await asyncio.sleep(_EVERY_SECONDS)

    async def mend(self) -> None:
        """Compare once."""
        found = {row.subscription_id: row for row in await self._reader.run(records.everything)}
        for name in list(self._topic.keys() - found.keys()):
            await self._mend_record(name)
        for name, row in found.items():
            await self._mend_row(name, row)
        if await self._reader.run(queue.has_orphans):
            await self._database.run(queue.cancel_orphans)

    async def _mend_record(self, name: str) -> None:
        """Retract a record without a row; forget it if it is a tombstone."""
        record = self._topic[name]
        if record is None:
            del self._topic[name]
        elif self._is_settled(_time(record)):
            log.warning("subscription %s was made by half: it is taken back", name)
            await self._publish(name, None)

    async def _mend_row(self, name: str, row: Any) -> None:
        if name in self._topic:
            record = self._topic[name]
            if record is None:
                log.warning("subscription %s was deleted by half: it is deleted", name)
                await self._database.run(lambda connection: records.remove(connection, name))
            elif row.updated_at < _time(record) and self._is_settled(_time(record)):
                log.warning("subscription %s was changed by half: it is changed", name)
                await self._catch_up(row, record)
        elif self._is_settled(row.updated_at):
            log.warning("subscription %s is not in Kafka: it is written there again", name)
            at = records.micros(row.updated_at)
            await self._publish(name, records.record_of(name, records.asked_of(row), at))

    async def _catch_up(self, row: Any, record: Subscription) -> None:
        asked = replace(
            records.asked_of(row),
            params=json.loads(record.params),
            cooldown_seconds=record.cooldown_seconds,
            enabled=record.enabled,
        )
        await self._database.run(
            lambda connection: records.change(
                connection, row.subscription_id, asked, row.disabled_reason, _time(record)
            )
        )

    def _is_settled(self, changed: datetime) -> bool:
        return self._clock() - changed > GRACE


def _time(record: Subscription) -> datetime:
    return _EPOCH + timedelta(microseconds=record.updated_at)
