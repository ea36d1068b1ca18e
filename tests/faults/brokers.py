"""What an operator, or bad luck, does to a broker through its own protocol."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.protocol.admin import DeleteGroupsRequest

from schemas.topics import TOPICS
from tests.faults.kafka_log import ask
from tests.fixtures.waiting import eventually_async

#: Error codes: none, and "there is no such group".
_DELETED = {0, 69}


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
        async def are_gone() -> bool:
            coordinator = await admin.find_coordinator(groups[0])
            request = DeleteGroupsRequest(groups)
            answer = await admin._send_request(request, coordinator)  # noqa: SLF001 - has no method
            return {error for _, error in answer.results} <= _DELETED

        # A broker that has just started is nobody's coordinator yet.
        await eventually_async(are_gone, within_seconds=30, what="the groups are deleted")

    ask(bootstrap, delete)
