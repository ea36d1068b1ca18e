"""Publish subscriptions, registered sites and blocked ids in SQL to the topics of a new cluster."""

from collections.abc import Mapping

from headrace.admin.database import run_once
from headrace.admin.topic_records import latest_values
from headrace.errors import UserError
from schemas.settings import Settings
from schemas.topics import BLOCKED_IDS, SITES, SUBSCRIPTIONS, Topic
from sinks.delivery import subscription_store
from sinks.delivery.publisher import Configuration, Unavailable, open_publisher
from sinks.sites import blocked_ids, store
from sinks.sql.types import micros
from streams.domain.alerts.subscriptions import Subscriptions


async def publish_subscriptions(settings: Settings) -> tuple[int, Subscriptions]:
    """Publish the subscriptions that are missing in the topic.

    Return their number, and all subscriptions. The sinks reconcile those that the topic has,
    including deleted ones.
    """
    existing_keys = await latest_values(settings.kafka, SUBSCRIPTIONS)
    subscribed, published = Subscriptions(), 0
    async with open_publisher(settings.kafka) as publish:
        for row in await run_once(settings.database, subscription_store.all_rows):
            name = str(row.subscription_id)
            at = micros(row.updated_at)
            record = subscription_store.record_of(name, subscription_store.spec_of(row), at)
            subscribed.put(name, record)
            if name.encode() in existing_keys:
                continue
            try:
                await publish(name, record)
            except Unavailable as error:
                raise UserError(f"{error}: run this again") from error
            published += 1
    return published, subscribed


async def publish_sites(settings: Settings) -> None:
    """Publish the registered sites that the topic does not have, so that their events are accepted.

    The sinks reconcile those that the topic has, including removed ones.
    """
    sites = await run_once(settings.database, store.all_sites)
    await _publish_missing(settings, SITES, {site.site_id: site for site in sites})


async def publish_blocked_ids(settings: Settings) -> None:
    """Publish the blocked ids that the topic does not have, so that erased persons stay blocked."""
    blocked = await run_once(settings.database, blocked_ids.all_blocked)
    await _publish_missing(settings, BLOCKED_IDS, blocked)


async def _publish_missing(
    settings: Settings, topic: Topic, records: Mapping[str, Configuration]
) -> None:
    existing_keys = await latest_values(settings.kafka, topic)
    async with open_publisher(settings.kafka, topic) as publish:
        for key, record in records.items():
            if key.encode() in existing_keys:
                continue
            try:
                await publish(key, record)
            except Unavailable as error:
                raise UserError(f"{error}: run this again") from error
