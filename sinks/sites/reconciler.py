"""Reconcile the tables of registered sites with their topic after partial writes.

The topic is written first and is authoritative. A row that is missing in the
topic, such as in a new topic, is published.
"""

import logging

from sqlalchemy import Connection

from schemas.records import Site
from schemas.topics import SITES
from sinks.delivery.topic_reconciler import TopicReconciler
from sinks.sites import store
from sinks.sql.types import from_micros

log = logging.getLogger(__name__)


class SiteReconciler(TopicReconciler[Site]):
    """Mirrors the topic into memory, and periodically compares the tables with it."""

    topic = SITES
    record_type = Site

    async def reconcile(self) -> None:
        """Compare tables and topic once, and repair the differences."""
        rows = {site.site_id: site for site in await self._reader.run(store.all_sites)}
        for site_id in self._records.keys() | rows.keys():
            row, record = rows.get(site_id), self._records.get(site_id)
            if row is None and record is None:
                del self._records[site_id]  # a tombstone
            elif row != record and self._has_settled(row) and self._has_settled(record):
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

    def _has_settled(self, site: Site | None) -> bool:
        return site is None or self.is_settled(from_micros(site.updated_at))


def _overwrite(connection: Connection, row: Site | None, record: Site) -> None:
    if row is None:
        store.add(connection, record)
    else:
        store.replace(connection, record, row.updated_at)
