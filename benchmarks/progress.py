"""Waits until all roles of a stack have processed all events."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas.stages import SINK_STAGES, STREAM_STAGES
from schemas.topics import EVENTS_SESSION
from streams.app import APP_ID as STREAMS
from streams.live_app import APP_ID as LIVE
from tests.e2e.stack import PARTITIONS, Stack

_GROUPS = {
    STREAMS: [topic.name for topic in STREAM_STAGES.values()],
    LIVE: [EVENTS_SESSION.name],
}
_STORED = [topic.name for topic in SINK_STAGES.values()]
_PARTITIONS = range(PARTITIONS)
_GIVE_UP_SECONDS = 90


class Progress:
    """Waits until a stack has processed all events."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka, enable_auto_commit=False)

    async def __aenter__(self) -> Self:
        await self._admin.start()
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()
        await self._admin.close()

    async def until_done(self) -> None:
        """Wait until the groups have committed all records and SQL has all results."""
        async with asyncio.timeout(_GIVE_UP_SECONDS):
            for group, topics in _GROUPS.items():
                while await self._behind(topics, await self._committed(group)):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            while await self._behind(_STORED, await self._stored()):  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def _behind(self, topics: Sequence[str], done: Mapping[TopicPartition, int]) -> bool:
        partitions = [TopicPartition(topic, number) for topic in topics for number in _PARTITIONS]
        ends = await self._consumer.end_offsets(partitions)
        return any(end > done.get(tp, 0) for tp, end in ends.items())

    async def _committed(self, group: str) -> dict[TopicPartition, int]:
        offsets = await self._admin.list_consumer_group_offsets(group)
        return {tp: committed.offset for tp, committed in offsets.items()}

    async def _stored(self) -> dict[TopicPartition, int]:
        query = "SELECT topic, partition, next_offset FROM consumer_offsets"
        rows = await asyncio.to_thread(self._stack.rows, query)
        return {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
