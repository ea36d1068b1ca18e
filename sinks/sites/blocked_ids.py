"""The blocked visitors and users in SQL: a mirror of the topic `blocked-ids`, as hashes (ADR 81).

`headrace adopt-cluster` publishes them to a new cluster.
"""

import logging
from collections.abc import Collection

from sqlalchemy import Connection, delete, insert, select

from schemas.blocked_ids import key_of
from schemas.records import BlockedId
from schemas.topics import BLOCKED_IDS
from sinks.delivery.topic_reconciler import TopicReconciler
from sinks.sql.tables import BlockedIdRow, table_of
from sinks.sql.types import from_micros, micros

log = logging.getLogger(__name__)

_BLOCKED = table_of(BlockedIdRow)


def all_blocked(connection: Connection) -> dict[str, BlockedId]:
    """Return all blocked ids by the key of their record."""
    return {
        key_of(row.site_id, row.hash): BlockedId(
            site_id=row.site_id, hash=row.hash, created_at=micros(row.created_at)
        )
        for row in connection.execute(select(_BLOCKED))
    }


class BlockReconciler(TopicReconciler[BlockedId]):
    """Mirrors the topic into SQL. Rows that a new topic does not have are published."""

    topic = BLOCKED_IDS
    record_type = BlockedId

    async def reconcile(self) -> None:
        """Compare table and topic once, and repair the differences."""
        rows = await self._reader.run(all_blocked)
        records = {key: one for key, one in self._records.items() if one is not None}
        changed = [one for key, one in records.items() if one != rows.get(key)]
        removed = [one for key, one in rows.items() if self._records.get(key, one) is None]
        if changed or removed:
            await self._database.run(lambda connection: _replace(connection, changed, removed))
        for key in rows.keys() - self._records.keys():
            if self.is_settled(from_micros(rows[key].created_at)):
                log.warning(
                    "a blocked id of %s is missing in Kafka: publishing it", rows[key].site_id
                )
                await self._publish(key, rows[key])


def _replace(
    connection: Connection, changed: Collection[BlockedId], removed: Collection[BlockedId]
) -> None:
    for one in (*changed, *removed):
        of_id = (_BLOCKED.c.site_id == one.site_id, _BLOCKED.c.hash == one.hash)
        connection.execute(delete(_BLOCKED).where(*of_id))
    if changed:
        connection.execute(
            insert(_BLOCKED),
            [
                {
                    "site_id": one.site_id,
                    "hash": one.hash,
                    "created_at": from_micros(one.created_at),
                }
                for one in changed
            ],
        )
