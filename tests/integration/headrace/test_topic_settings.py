"""Correction of the settings of existing topics."""

from functools import partial
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from headrace.admin.topics import create_topics, update_topics
from headrace.errors import UserError
from schemas.kafka_settings import KafkaSettings
from schemas.topics import EVENTS_ALERT, EVENTS_SESSION
from tests.fixtures.waiting import eventually_async

DAY_MS = 86_400_000


@pytest.mark.usefixtures("topic_prefix")
async def test_only_wrong_settings_are_changed(kafka: str) -> None:
    """A retention that is too short, and the timestamp type; the update is idempotent."""
    settings = KafkaSettings(bootstrap_servers=kafka, partitions=1)
    await create_topics(settings)
    await eventually_async(
        partial(_is_described, settings), within_seconds=30, what="the new topics are described"
    )
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        own = EVENTS_SESSION.configs() | {"segment.bytes": "1234567"}
        await _set(admin, EVENTS_SESSION.name, own | {"retention.ms": str(DAY_MS)})
        await _set(admin, EVENTS_ALERT.name, EVENTS_ALERT.configs() | {"retention.ms": "-1"})

        assert await update_topics(settings) == {
            EVENTS_SESSION.name: {"retention.ms": str(EVENTS_SESSION.retention_ms)}
        }
        await _until(admin, EVENTS_SESSION.name, own)
        assert await update_topics(settings) == {}
        assert (await _get(admin, EVENTS_ALERT.name))["retention.ms"] == "-1"

        old = own | {"message.timestamp.type": "CreateTime"}
        await _set(admin, EVENTS_SESSION.name, old)
        assert await update_topics(settings) == {
            EVENTS_SESSION.name: {"message.timestamp.type": "LogAppendTime"}
        }
        await _until(admin, EVENTS_SESSION.name, own)
    finally:
        await admin.close()


async def _is_described(settings: KafkaSettings) -> bool:
    """Return True if the broker describes the new topics, with the right retention."""
    try:
        return await update_topics(settings) == {}
    except UserError:
        return False


async def _set(admin: AIOKafkaAdminClient, topic: str, configs: dict[str, str]) -> None:
    [answer] = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])
    assert answer.resources[0][0] == 0
    await _until(admin, topic, configs)


async def _until(admin: AIOKafkaAdminClient, topic: str, wanted: dict[str, str]) -> None:
    """Wait until the broker returns the settings, some milliseconds after the change."""

    async def has_them() -> bool:
        found = await _get(admin, topic)
        return {name: found[name] for name in wanted} == wanted

    await eventually_async(has_them, within_seconds=30, what=f"{topic} has its settings")


async def _get(admin: Any, topic: str) -> dict[str, str]:
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    [(_, _, _, _, entries)] = answer.resources
    return {name: value for name, value, *_ in entries}
