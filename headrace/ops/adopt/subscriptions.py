"""Publish the subscriptions in SQL to the topic of a new cluster."""

import sys

from headrace.admin.database import run_once
from headrace.errors import UserError
from schemas.settings import Settings
from schemas.topics import SUBSCRIPTIONS
from sinks.delivery import subscription_store
from sinks.delivery.publisher import Unavailable, open_publisher
from sinks.sql.types import micros
from streams.domain.alerts.subscriptions import Subscriptions
from streams.engine.log_tail import LogTail


async def publish_subscriptions(settings: Settings) -> tuple[int, Subscriptions]:
    """Publish the subscriptions that are missing in the topic.

    Return their number, and all subscriptions. The sinks reconcile those that the topic has,
    including deleted ones.
    """
    tail = LogTail(settings.kafka, SUBSCRIPTIONS.name, sys.maxsize)
    existing_keys = set[bytes | None]()
    for partition in range(settings.kafka.partitions):
        async for fetched in tail.catch_up(partition):
            existing_keys |= {record.key for record in fetched}
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
