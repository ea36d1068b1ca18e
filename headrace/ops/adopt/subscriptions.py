"""Publish the subscriptions and registered sites in SQL to the topics of a new cluster."""

from headrace.admin.database import run_once
from headrace.admin.topic_records import latest_values
from headrace.errors import UserError
from schemas.settings import Settings
from schemas.topics import SITES, SUBSCRIPTIONS
from sinks.delivery import subscription_store
from sinks.delivery.publisher import Unavailable, open_publisher
from sinks.sites import store
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
    existing_keys = await latest_values(settings.kafka, SITES)
    async with open_publisher(settings.kafka, SITES) as publish:
        for site in await run_once(settings.database, store.all_sites):
            if site.site_id.encode() in existing_keys:
                continue
            try:
                await publish(site.site_id, site)
            except Unavailable as error:
                raise UserError(f"{error}: run this again") from error
