"""Consumers, producers and admin clients of the cluster that the settings name."""

from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from kafka_clients.closing import Consumer, Producer, TlsAdmin, TlsConsumer
from kafka_clients.security import security_options
from schemas.kafka_settings import KafkaSettings

#: What a client raises; on uvloop, RuntimeError after a write to a closed connection (ADR 51).
CLIENT_ERRORS = (KafkaError, OSError, RuntimeError)


def make_consumer(kafka: KafkaSettings, *topics: str, **options: Any) -> Any:
    """Return a consumer that is not started and commits only what it is asked to.

    `topics` and a `group_id` are names in Kafka, with the prefix (`schemas.kafka_names`);
    `options` are those of `AIOKafkaConsumer`.
    """
    is_member = options.get("group_id") is not None
    kind = TlsConsumer if kafka.has_tls and not is_member else Consumer
    return kind(*topics, **_options(kafka, enable_auto_commit=False) | options)


def make_producer(kafka: KafkaSettings, **options: Any) -> Any:
    """Return a producer that is not started; `options` are those of `AIOKafkaProducer`.

    All in-sync replicas confirm a record. The producer is not idempotent: a broker outage hangs
    the futures of an idempotent one. Consumers must recognize records that a retry repeats.
    """
    compression = None if kafka.compression == "none" else kafka.compression
    defaults = _options(kafka, acks="all", enable_idempotence=False, compression_type=compression)
    return Producer(**defaults | options)


def make_admin(kafka: KafkaSettings, **options: Any) -> Any:
    """Return an admin client that is not started; `options` are those of `AIOKafkaAdminClient`."""
    kind = TlsAdmin if kafka.has_tls else AIOKafkaAdminClient
    return kind(**_options(kafka) | options)


def _options(kafka: KafkaSettings, **defaults: Any) -> dict[str, Any]:
    return {
        "bootstrap_servers": kafka.bootstrap_servers,
        "client_id": "headrace",
        **security_options(kafka),
        **defaults,
    }
