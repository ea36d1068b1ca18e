"""Checks of a role's access to Kafka before the role starts."""

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
from kafka_clients.problems import KafkaProblem, explain_error, topic_problems
from kafka_clients.security import security_options
from schemas.brokers import parse_brokers
from schemas.kafka_settings import KafkaSettings
from schemas.topics import Topic

_TIMEOUT_MS = 10_000
#: How long to wait for authorization errors of topics.
_FETCH_MS = 500


async def check_access(
    kafka: KafkaSettings, topics: Sequence[Topic], group: str | None = None
) -> KafkaProblem | None:
    """Return the first problem of a role that uses these topics as a member of `group`.

    Return None if there is none, and if Kafka is unreachable or a topic is missing: the role waits
    for both. Checks READ, not WRITE; topic configs are compared if the user may describe them.
    """
    servers = kafka.bootstrap_servers
    try:
        async with _admin(kafka) as admin:
            described = await admin.describe_topics([topic.name for topic in topics])
            denied = [
                metadata["topic"]
                for metadata in described
                if metadata["error_code"] == TopicAuthorizationFailedError.errno
            ]
            if denied:
                return explain_error(TopicAuthorizationFailedError(denied), servers)
            names = {metadata["topic"] for metadata in described if not metadata["error_code"]}
            existing = [topic for topic in topics if topic.name in names]
            if existing and (problem := await _find_config_problem(admin, existing)):
                return problem
            if group is not None:
                await _check_group(admin, group)
        if existing and kafka.security_protocol != "PLAINTEXT":
            await _check_read(kafka, [topic.name for topic in existing])
    except KafkaConnectionError:
        return await explain_connection_failure(kafka)
    except (KafkaError, OSError) as error:
        return explain_error(error, servers)
    return None


async def explain_connection_failure(kafka: KafkaSettings) -> KafkaProblem | None:
    """Connect to the brokers; return why TLS or authentication fails, None for other errors.

    aiokafka's clients only log it.
    """
    for host, port in parse_brokers(kafka.bootstrap_servers):
        try:
            connection = await create_conn(
                host, port, request_timeout_ms=_TIMEOUT_MS, **security_options(kafka)
            )
        except (KafkaError, OSError, TimeoutError) as error:
            if problem := explain_error(error, f"{host}:{port}"):
                return problem
        else:
            connection.close()
            return None
    return None


async def _check_group(admin: Any, group: str) -> None:
    """Raise `GroupAuthorizationFailedError` with the group's name if access is denied."""
    try:
        await admin.find_coordinator(group)
    except GroupAuthorizationFailedError:
        raise GroupAuthorizationFailedError(group) from None


async def _find_config_problem(admin: Any, topics: Sequence[Topic]) -> KafkaProblem | None:
    by_name = {topic.name: topic for topic in topics}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in by_name]
    for response in await admin.describe_configs(resources):
        for code, _, _, name, entries in response.resources:
            configs = {key: value for key, value, *_ in entries}
            # With an error code, the user may not describe them.
            if not code and (problem := next(topic_problems(by_name[name], configs), None)):
                return problem
    return None


async def _check_read(kafka: KafkaSettings, topics: Sequence[str]) -> None:
    """Fetch once; raise `TopicAuthorizationFailedError` with the topics that are denied."""
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
