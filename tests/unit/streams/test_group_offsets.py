"""The commits of a consumer group's offsets."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition

from schemas.kafka_settings import KafkaSettings
from streams.engine.group_offsets import GroupOffsets

ZERO = TopicPartition("events", 0)


class Consumer:
    """Commits once `may_go_on` is set."""

    def __init__(self) -> None:
        self.committed: dict[TopicPartition, int] = {}
        self.begun, self.may_go_on = asyncio.Event(), asyncio.Event()

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Record the committed offsets."""
        self.begun.set()
        await self.may_go_on.wait()
        self.committed |= offsets


async def test_the_last_commit_follows_one_in_flight() -> None:
    """Which was cancelled, or had no response, and does not have the last batches."""
    offsets, consumer = GroupOffsets(KafkaSettings(), "app"), Consumer()
    made: Any = consumer
    offsets.consumer = made
    offsets.begin({ZERO: 0})
    offsets.note_done(offsets.done, ZERO, 1)
    regular = asyncio.ensure_future(offsets.commit())
    await consumer.begun.wait()
    regular.cancel()
    offsets.note_done(offsets.done, ZERO, 2)

    last = asyncio.ensure_future(offsets.commit_last())
    consumer.may_go_on.set()
    await last

    assert consumer.committed == {ZERO: 2}
