"""subscriptions → the rules of raise_alerts: each worker has all of them."""

import logging

from schemas.codec import CodecError, decode
from schemas.kafka_settings import KafkaSettings
from schemas.records import Subscription
from schemas.topics import SUBSCRIPTIONS
from streams.domain.alerts.subscriptions import Subscriptions
from streams.engine.global_table import GlobalTable
from streams.engine.worker import Worker

log = logging.getLogger(__name__)


def follow(worker: Worker, kafka: KafkaSettings, subscriptions: Subscriptions) -> GlobalTable:
    """Mirror the topic `subscriptions` into memory. Skip and log records that cannot be decoded."""

    def apply(key: bytes | None, value: bytes | None) -> None:
        try:
            name = (key or b"").decode()
            subscriptions.put(name, None if value is None else decode(value, Subscription))
        except (CodecError, ValueError) as error:
            log.warning("skipping a record of %s: %r: %s", SUBSCRIPTIONS.name, key, error)

    table = GlobalTable(kafka, SUBSCRIPTIONS.name, None, apply)
    worker.background(table.run)
    return table
