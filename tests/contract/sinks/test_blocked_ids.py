"""The mirror of blocked ids, on both engines, with a topic in memory."""

from datetime import timedelta

from schemas.blocked_ids import key_of
from schemas.codec import encode
from schemas.records import BlockedId
from sinks.sites.blocked_ids import BlockReconciler, all_blocked
from sinks.sql.engine import Database, open_database
from sinks.sql.types import micros, now_utc

NOW = now_utc()
OLD = micros(NOW - timedelta(hours=1))
KEPT, REMOVED, LOST, ADDED = (
    BlockedId(site_id="shop", hash=name, created_at=OLD)
    for name in ("kept", "removed", "lost", "added")
)
NEW = BlockedId(site_id="blog", hash="new", created_at=micros(NOW))


def key(record: BlockedId) -> str:
    """Return the key of a record."""
    return key_of(record.site_id, record.hash)


async def reconcile(
    database: Database, *records: BlockedId, removed: tuple[BlockedId, ...] = ()
) -> dict[str, object]:
    """Compare the table with a topic; return what is published."""
    published: dict[str, object] = {}

    async def publish(name: str, record: object) -> None:
        published[name] = record

    reconciler = BlockReconciler(database, database, publish, clock=lambda: NOW)
    for record in (*records, *removed):
        reconciler.apply(key(record).encode(), encode(record))
    for record in removed:
        reconciler.apply(key(record).encode(), None)
    reconciler.apply(b"shop:x", b"garbage")
    await reconciler.reconcile()
    return published


async def test_the_table_follows_the_topic(database_url: str) -> None:
    """Blocks are added, replaced and removed; a second comparison changes nothing."""
    database = open_database(database_url)
    again = BlockedId(site_id="shop", hash="kept", created_at=OLD + 1)
    assert await reconcile(database, KEPT, REMOVED) == {}
    for _ in range(2):
        assert await reconcile(database, again, ADDED, removed=(REMOVED,)) == {}

        assert await database.run(all_blocked) == {key(one): one for one in (again, ADDED)}
    await database.close()


async def test_a_new_topic_gets_the_blocks(database_url: str) -> None:
    """Except one of the last minute: this process may not have read its removal yet."""
    database = open_database(database_url)
    await reconcile(database, KEPT, LOST, NEW)

    assert await reconcile(database, KEPT) == {key(LOST): LOST}
    assert len(await database.run(all_blocked)) == 3
    await database.close()
