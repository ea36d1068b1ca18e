"""Factories of consumers, producers and admin clients."""

from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from kafka_clients.bounded_clients import Consumer, Producer, TlsAdmin, TlsConsumer
from kafka_clients.security import security_options
from schemas.kafka_settings import KafkaSettings

#: Errors of clients. On uvloop, a write to a closed connection raises RuntimeError (ADR 51).
CLIENT_ERRORS = (KafkaError, OSError, RuntimeError)


def make_consumer(kafka: KafkaSettings, *topics: str, **options: Any) -> Any:
    """Return a consumer, not started, without auto-commit.

    `topics` and `group_id` include the topic prefix (`schemas.topic_prefix`). `options` are passed
    to `AIOKafkaConsumer`.
    """
    is_member = options.get("group_id") is not None
    consumer_class = TlsConsumer if kafka.has_tls and not is_member else Consumer
    return consumer_class(*topics, **_options(kafka, enable_auto_commit=False) | options)


def make_producer(kafka: KafkaSettings, **options: Any) -> Any:
    """Return a producer, not started, with `acks=all`. `options` are passed to `AIOKafkaProducer`.

    It is not idempotent, because a broker outage leaves futures of an idempotent aiokafka producer
    pending forever. Retries can duplicate records, so consumers must deduplicate.
    """
    compression = None if kafka.compression == "none" else kafka.compression
    defaults = _options(kafka, acks="all", enable_idempotence=False, compression_type=compression)
    return Producer(**defaults | options)


def make_admin(kafka: KafkaSettings, **options: Any) -> Any:
    """Return an admin client, not started. `options` are passed to `AIOKafkaAdminClient`."""
    admin_class = TlsAdmin if kafka.has_tls else AIOKafkaAdminClient
    return admin_class(**_options(kafka) | options)


def _options(kafka: KafkaSettings, **defaults: Any) -> dict[str, Any]:
    return {
        "bootstrap_servers": kafka.bootstrap_servers,
        "client_id": "headrace",
        **security_options(kafka),
        **defaults,
    }
