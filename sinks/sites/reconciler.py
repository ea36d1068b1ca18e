"""Reconcile the tables of registered sites with their topic after partial writes.

The topic is written first and is authoritative. A row that is missing in the
topic, such as in a new topic, is published.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from sqlalchemy import Connection

from schemas.codec import CodecError, decode
from schemas.records import Site
from sinks.delivery.publisher import PublishConfiguration, Unavailable
from sinks.delivery.reconciler import GRACE_PERIOD
from sinks.sites import store
from sinks.sql.engine import Database
from sinks.sql.errors import DATABASE_ERRORS
from sinks.sql.types import from_micros, now_utc

log = logging.getLogger(__name__)

_INTERVAL_SECONDS = 30.0


class SiteReconciler:
    """Mirrors the topic into memory, and periodically compares the tables with it."""

    def __init__(
        self,
        database: Database,
        reader: Database,
        publish: PublishConfiguration,
        clock: Callable[[], datetime] = now_utc,
    ) -> None:
        self._database = database
        self._reader = reader
        self._publish = publish
        self._clock = clock
        self._records: dict[str, Site | None] = {}

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Apply the next record of the topic; skip and log records that cannot be decoded."""
        try:
            site_id = (key or b"").decode()
            self._records[site_id] = None if value is None else decode(value, Site)
        except (CodecError, UnicodeError) as error:
            log.warning("skipping an invalid record of the sites topic: %r: %s", key, error)

    async def run(self, complete: Callable[[], Awaitable[None]]) -> None:
        """Reconcile every 30 s until cancelled, after `complete` has read the topic to its end."""
        await complete()
        while True:
            try:
                await self.reconcile()
            except (Unavailable, *DATABASE_ERRORS) as error:
                log.warning("cannot reconcile sites: %s; retrying", type(error).__name__)
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def reconcile(self) -> None:
        """Compare tables and topic once, and repair the differences."""
        rows = {site.site_id: site for site in await self._reader.run(store.all_sites)}
        for site_id in self._records.keys() | rows.keys():
            row, record = rows.get(site_id), self._records.get(site_id)
            if row is None and record is None:
                del self._records[site_id]  # a tombstone
            elif row != record and self._is_settled(row) and self._is_settled(record):
                await self._repair(site_id, row, record)

    async def _repair(self, site_id: str, row: Site | None, record: Site | None) -> None:
        if record is None and site_id in self._records:
            log.warning("site %s is removed in Kafka: removing it", site_id)
            await self._database.run(lambda connection: store.remove(connection, site_id))
        elif record is None or (row is not None and row.updated_at > record.updated_at):
            log.warning("site %s is not up to date in Kafka: publishing it", site_id)
            await self._publish(site_id, row)
        else:
            log.warning("site %s is newer in Kafka: updating it", site_id)
            await self._database.run(lambda connection: _overwrite(connection, row, record))

    def _is_settled(self, site: Site | None) -> bool:
        """Return True unless the last change may still be written to SQL or read from Kafka."""
        return site is None or self._clock() - from_micros(site.updated_at) > GRACE_PERIOD


def _overwrite(connection: Connection, row: Site | None, record: Site) -> None:
    if row is None:
        store.add(connection, record)
    else:
        store.replace(connection, record, row.updated_at)
