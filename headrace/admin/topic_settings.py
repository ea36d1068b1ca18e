"""Correct the settings of topics that an earlier version or another tool created."""

from collections.abc import Collection, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from headrace.errors import UserError
from kafka_clients.problems import wrong_configs
from schemas.topics import EVENTS_ALERT, EVENTS_PAGELEAVE, EVENTS_RAW, EVENTS_SESSION, Topic

_ROUTED = (EVENTS_SESSION, EVENTS_PAGELEAVE, EVENTS_ALERT)
_RETENTION = "retention.ms"
#: `ConfigSource.DYNAMIC_TOPIC_CONFIG` in Kafka's protocol: set on the topic itself.
_DYNAMIC_TOPIC_CONFIG = 1


async def update_settings(
    admin: AIOKafkaAdminClient, topics: Collection[Topic]
) -> dict[str, dict[str, str]]:
    """Correct the settings that results depend on; return the changed settings of each topic.

    Routed topics retain records at least as long as `events-raw` (ADR 42). Raises UserError if
    Kafka rejects the change.
    """
    found = await read_configs(admin, topics)
    changed = {}
    for topic in topics:
        configs = {key: value for key, (value, _) in found[topic.name].items()}
        wrong = wrong_configs(topic, configs)
        raw = {key: value for key, (value, _) in found.get(EVENTS_RAW.name, {}).items()}
        if raw and (retention := routed_retention(topic, configs, raw)) is not None:
            wrong[_RETENTION] = retention
        if wrong:
            await _alter(admin, topic, found[topic.name], wrong)
            changed[topic.name] = wrong
    return changed


def routed_retention(
    topic: Topic, configs: Mapping[str, str], raw: Mapping[str, str]
) -> str | None:
    """Return the `retention.ms` to set on a routed topic; None if the present one suffices.

    `raw` contains the settings of `events-raw`.
    """
    if topic not in _ROUTED:
        return None
    is_shorter = _retention_ms(configs[_RETENTION]) < _retention_ms(raw[_RETENTION])
    return raw[_RETENTION] if is_shorter else None


async def _alter(
    admin: Any, topic: Topic, found: Mapping[str, tuple[str, int]], wrong: Mapping[str, str]
) -> None:
    # AlterConfigs resets all settings that are not in the request.
    own = {key: value for key, (value, source) in found.items() if source == _DYNAMIC_TOPIC_CONFIG}
    resource = ConfigResource(ConfigResourceType.TOPIC, topic.name, {**own, **wrong})
    [answer] = await admin.alter_configs([resource])
    code, detail, *_ = answer.resources[0]
    if code:
        settings = ", ".join(f"{name}={value}" for name, value in wrong.items())
        raise UserError(
            f"Kafka did not change the topic {topic.name}: {detail or for_code(code).__name__}. "
            f"Set {settings} as an administrator of the cluster"
        )


def _retention_ms(value: str) -> float:
    """Return a value of `retention.ms`; a negative one is infinite."""
    return float("inf") if int(value) < 0 else int(value)


async def read_configs(
    admin: Any, topics: Collection[Topic]
) -> dict[str, dict[str, tuple[str, int]]]:
    """Return the settings of the topics, with the source of each."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in topics]
    found: dict[str, dict[str, tuple[str, int]]] = {}
    for answer in await admin.describe_configs(resources):
        for code, detail, _, name, entries in answer.resources:
            if code:
                raise UserError(
                    f"Kafka did not describe the topic {name}: {detail or for_code(code).__name__}"
                )
            found[name] = {key: (value, source) for key, value, _, source, *_ in entries}
    return found
