"""What an operator, or bad luck, does to a broker through its own protocol."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.protocol.admin import DeleteGroupsRequest

from schemas.topics import TOPICS
from tests.faults.kafka_log import ask


@contextmanager
def refuse_records(bootstrap: str, topic: str) -> Iterator[None]:
    """Have the broker answer writes to a topic with NotEnoughReplicas while the block lasts."""
    [configs] = [one.configs() for one in TOPICS if one.name == topic]
    _configure(bootstrap, topic, {**configs, "min.insync.replicas": "2"})
    try:
        yield
    finally:
        _configure(bootstrap, topic, configs)


def _configure(bootstrap: str, topic: str, configs: Mapping[str, str]) -> None:
    async def alter(admin: Any, _: Any) -> None:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, dict(configs))
        [answer] = await admin.alter_configs([resource])
        assert answer.resources[0][0] == 0, answer

    ask(bootstrap, alter)


def delete_groups(bootstrap: str, groups: list[str]) -> None:
    """Delete consumer groups that have no member."""

    async def delete(admin: Any, _: Any) -> None:
        coordinator = await admin.find_coordinator(groups[0])
        answer = await admin._send_request(DeleteGroupsRequest(groups), coordinator)  # noqa: SLF001
        assert all(error == 0 for _, error in answer.results), answer

    ask(bootstrap, delete)
