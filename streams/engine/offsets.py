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
from kafka_clients.topic_reader import IDLE_MS
from schemas.kafka_settings import KafkaSettings

#: How long to wait for the offsets of partitions without a leader.
_REQUEST_TIMEOUT_MS = 10_000
#: Errors of a broker that has just started, until it has created or loaded `__consumer_offsets`.
STARTING_ERRORS = (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)


def assign_paused(consumer: Any, partitions: Collection[TopicPartition]) -> None:
    """Assign partitions to a started consumer, and pause them, so that they are not read yet.

    Offset requests of partitions that are not assigned wait for metadata, 0.1 s for each topic.
    They also wait for a fetch in flight, because a broker answers in order.
    """
    consumer.assign(partitions)
    consumer.pause(*partitions)
    for tp in partitions:
        consumer.seek(tp, 0)  # otherwise the consumer requests a start offset, too


class ClusterOffsets:
    """Reads the offsets of groups, and of partitions in `partitions`, on its own connections."""

    def __init__(self, kafka: KafkaSettings, partitions: Collection[TopicPartition]) -> None:
        self._partitions = partitions
        self._consumer = make_consumer(
            kafka, consumer_timeout_ms=IDLE_MS, request_timeout_ms=_REQUEST_TIMEOUT_MS
        )
        self._admin = make_admin(kafka)

    async def start(self) -> None:
        """Connect; raises `KafkaError` if no broker is available."""
        await self._consumer.start()
        assign_paused(self._consumer, self._partitions)
        await self._admin.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()
        await self._admin.close()

    async def committed(self, group: str) -> Mapping[TopicPartition, int]:
        """Return the committed offsets of a group."""
        return await committed_offsets(self._admin, group)

    async def begins(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the beginning offsets of partitions."""
        begins: Mapping[TopicPartition, int] = await self._consumer.beginning_offsets(partitions)
        return begins

    async def ends(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the end offsets of partitions."""
        ends: Mapping[TopicPartition, int] = await self._consumer.end_offsets(partitions)
        return ends


async def fetch_committed(kafka: KafkaSettings, group: str) -> Mapping[TopicPartition, int]:
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
    found = await admin.list_consumer_group_offsets(group, coordinator)
    if not found:  # none are committed, or there was an error
        [described] = await admin.describe_consumer_groups([group], coordinator)
        [(error_code, *_)] = described.groups
        if error_code:
            raise for_code(error_code)
        found = await admin.list_consumer_group_offsets(group, coordinator)
    return {tp: done.offset for tp, done in found.items()}
