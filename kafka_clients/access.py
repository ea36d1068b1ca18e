"""Whether Kafka lets this user do what a role needs, asked before the role starts."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.conn import create_conn
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from kafka_clients.clients import make_admin, make_consumer
from kafka_clients.refusals import Refusal, refusal_of, topic_faults
from kafka_clients.security import security_options
from schemas.brokers import parse_brokers
from schemas.kafka_settings import KafkaSettings
from schemas.topics import Topic

_TIMEOUT_MS = 10_000
#: Enough for Kafka to say that a topic may not be read.
_FETCH_MS = 500


async def find_refusal(
    kafka: KafkaSettings, topics: Sequence[Topic], group: str | None = None
) -> Refusal | None:
    """Return what Kafka refuses to a role that uses these topics, as a member of `group`.

    None where it refuses nothing, and where it is not reached or a topic is missing: the role
    waits for both. That a topic may not be written shows when it is written. The settings of topics
    are compared where the user may read them.
    """
    servers = kafka.bootstrap_servers
    try:
        async with _admin(kafka) as admin:
            described = await admin.describe_topics([topic.name for topic in topics])
            denied = [
                found["topic"]
                for found in described
                if found["error_code"] == TopicAuthorizationFailedError.errno
            ]
            if denied:
                return refusal_of(TopicAuthorizationFailedError(denied), servers)
            names = {found["topic"] for found in described if not found["error_code"]}
            there = [topic for topic in topics if topic.name in names]
            if there and (fault := await _fault_of(admin, there)):
                return fault
            if group is not None:
                await _find_group(admin, group)
        if there and kafka.security_protocol != "PLAINTEXT":
            await _read(kafka, [topic.name for topic in there])
    except KafkaConnectionError:
        return await why_not_reached(kafka)
    except (KafkaError, OSError) as error:
        return refusal_of(error, servers)
    return None


async def why_not_reached(kafka: KafkaSettings) -> Refusal | None:
    """Return why brokers that listen refuse the connection; None when it is something else.

    The client itself only logs it.
    """
    for host, port in parse_brokers(kafka.bootstrap_servers):
        try:
            connection = await create_conn(
                host, port, request_timeout_ms=_TIMEOUT_MS, **security_options(kafka)
            )
        except (KafkaError, OSError, TimeoutError) as error:
            if refusal := refusal_of(error, f"{host}:{port}"):
                return refusal
        else:
            connection.close()
            return None
    return None


async def _find_group(admin: Any, group: str) -> None:
    """Raise `GroupAuthorizationFailedError` with the group's name if the user may not see it."""
    try:
        await admin.find_coordinator(group)
    except GroupAuthorizationFailedError:
        raise GroupAuthorizationFailedError(group) from None


async def _fault_of(admin: Any, topics: Sequence[Topic]) -> Refusal | None:
    by_name = {topic.name: topic for topic in topics}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in by_name]
    for answer in await admin.describe_configs(resources):
        for code, _, _, name, entries in answer.resources:
            configs = {key: value for key, value, *_ in entries}
            if not code and (fault := next(topic_faults(by_name[name], configs), None)):
                return fault  # with a code, the user may not read them
    return None


async def _read(kafka: KafkaSettings, topics: Sequence[str]) -> None:
    """Fetch once from each topic; `TopicAuthorizationFailedError` names those that are denied."""
    async with make_consumer(kafka, *topics, fetch_max_wait_ms=1) as consumer:
        await consumer.getmany(timeout_ms=_FETCH_MS)


@asynccontextmanager
async def _admin(kafka: KafkaSettings) -> AsyncIterator[Any]:
    admin = make_admin(kafka, request_timeout_ms=_TIMEOUT_MS)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()
