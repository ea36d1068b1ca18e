"""Configuration topics after a restore: what the backup has, and what was erased since."""

from collections.abc import Collection
from functools import partial

from sqlalchemy import Connection

from headrace.admin.database import run_once
from headrace.admin.topic_records import latest_records, latest_values
from headrace.errors import UserError
from headrace.ops.backup.archive import Manifest, Topics
from headrace.ops.erase.erasures import publish_erasures, site_hash
from headrace.ops.rebuild.run import open_producer
from schemas.blocked_ids import key_of
from schemas.records import BlockedId, Site
from schemas.settings import Settings
from schemas.topics import BLOCKED_IDS, ERASURES, SITES, SUBSCRIPTIONS
from sinks.delivery import subscription_store
from sinks.delivery.publisher import Unavailable, open_publisher
from sinks.sites import store
from sinks.sql.types import micros


async def publish_topics(settings: Settings, topics: Topics) -> None:
    """Publish the blocked ids and erasures of a backup that the topics do not have.

    Ids that were unblocked since then stay unblocked, until compaction removes their tombstones.
    """
    blocked = await latest_values(settings.kafka, BLOCKED_IDS)
    erased = await latest_records(settings.kafka, ERASURES, BlockedId)
    try:
        async with open_publisher(settings.kafka, BLOCKED_IDS) as publish:
            for record in topics.blocked_ids:
                if (key := key_of(record.site_id, record.hash)).encode() not in blocked:
                    await publish(key, record)
    except Unavailable as error:
        raise UserError(f"{error}. Nothing was restored; run this again") from error
    missing = [one for one in topics.erasures if one.created_at > _erased_at(erased, one)]
    async with open_producer(settings) as producer:
        await publish_erasures(producer, settings.kafka.partitions, missing)


async def reconcile(settings: Settings, manifest: Manifest) -> None:
    """Make the topics of sites and subscriptions agree with the restored database.

    Sites and subscriptions that were deleted since the backup are published again, except erased
    sites, which are removed from the database. Later changes stay, such as revoked keys.
    """
    removed = await _removed_sites(settings, manifest)
    await run_once(settings.database, partial(_remove_sites, site_ids=removed))
    sites = await latest_values(settings.kafka, SITES)
    subscriptions = await latest_values(settings.kafka, SUBSCRIPTIONS)
    try:
        async with open_publisher(settings.kafka, SITES) as publish:
            for site in await run_once(settings.database, store.all_sites):
                if sites.get(site.site_id.encode(), b"") is None:
                    await publish(site.site_id, site)
        async with open_publisher(settings.kafka, SUBSCRIPTIONS) as publish:
            for row in await run_once(settings.database, subscription_store.all_rows):
                name = str(row.subscription_id)
                if subscriptions.get(name.encode(), b"") is None:
                    spec, at = subscription_store.spec_of(row), micros(row.updated_at)
                    await publish(name, subscription_store.record_of(name, spec, at))
    except Unavailable as error:
        raise UserError(f"{error}. The restore is not complete; run this again") from error


async def _removed_sites(settings: Settings, manifest: Manifest) -> set[str]:
    """Return the sites that were erased since the backup, and are not registered any more."""
    erased = (await latest_records(settings.kafka, ERASURES, BlockedId)).values()
    registered = await latest_records(settings.kafka, SITES, Site)
    return {
        one.site_id
        for one in erased
        if one.hash == site_hash(one.site_id) and one.created_at > manifest.created_at
    } - registered.keys()


def _remove_sites(connection: Connection, site_ids: Collection[str]) -> None:
    for site_id in site_ids:
        for subscription_id in store.subscription_ids(connection, site_id):
            subscription_store.remove(connection, subscription_id)
        store.revoke_access(connection, site_id)
        store.remove(connection, site_id)


def _erased_at(erased: dict[str, BlockedId], erasure: BlockedId) -> int:
    known = erased.get(key_of(erasure.site_id, erasure.hash))
    return -1 if known is None else known.created_at
