"""End offsets and committed offsets, read by clients in no consumer group."""

from collections.abc import Collection, Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
    for_code,
)

from kafka_clients.clients import make_admin, make_consumer
from schemas.kafka_settings import KafkaSettings

#: Errors of a broker that has just started: it creates or loads the offsets of groups first.
STARTING_ERRORS = (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)


class ClusterOffsets:
    """Reads the offsets of partitions and groups, on its own connections."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._consumer = make_consumer(kafka)
        self._admin = make_admin(kafka)

    async def start(self) -> None:
        """Connect; `KafkaError` when no broker is reached."""
        await self._consumer.start()
        await self._admin.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()
        await self._admin.close()

    async def committed(self, group: str) -> Mapping[TopicPartition, int]:
        """Return the committed offsets of a group."""
        return await committed_offsets(self._admin, group)

    async def begins(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the beginning offsets of partitions."""
        begins: Mapping[TopicPartition, int] = await self._consumer.beginning_offsets(places)
        return begins

    async def ends(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the end offsets of partitions."""
        ends: Mapping[TopicPartition, int] = await self._consumer.end_offsets(places)
        return ends


async def ask_committed(kafka: KafkaSettings, group: str) -> Mapping[TopicPartition, int]:
    """Return the committed offsets of a group, over a new connection; raises `KafkaError`."""
    admin = make_admin(kafka)
    try:
        await admin.start()
        return await committed_offsets(admin, group)
    finally:
        await admin.close()


async def committed_offsets(admin: Any, group: str) -> Mapping[TopicPartition, int]:
    """Return the committed offsets of a group.

    Raises `KafkaError` while the group's coordinator loads the offsets, as after each start of a
    broker: aiokafka ignores the error of an OffsetFetch response, which then has no offsets.
    """
    coordinator = await admin.find_coordinator(group)
    [described] = await admin.describe_consumer_groups([group], coordinator)
    [(error_code, *_)] = described.groups
    if error_code:
        raise for_code(error_code)
    found = await admin.list_consumer_group_offsets(group, coordinator)
    return {place: done.offset for place, done in found.items()}
