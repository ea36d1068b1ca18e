"""Reading the end of a topic again: what this agent, or the owner before it, had sent."""

import logging
from collections.abc import AsyncIterator
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

log = logging.getLogger(__name__)

_POLL_MS = 1_000


class Tail:
    """Reads the last records of a topic's partitions, each time on from where it was.

    `most` bounds how many offsets it goes back. It belongs to no group and commits nothing.
    """

    def __init__(self, bootstrap_servers: str, topic: str, most: int) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._most = most
        self._next: dict[int, int] = {}

    async def catch_up(self, partition: int) -> AsyncIterator[list[Any]]:
        """Yield, in fetches, the records that came since the last call, up to the end now."""
        tp = TopicPartition(self._topic, partition)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap_servers, enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign([tp])
            end = (await consumer.end_offsets([tp]))[tp]
            begin = (await consumer.beginning_offsets([tp]))[tp]
            start = max(begin, end - self._most, self._next.get(partition, 0))
            consumer.seek(tp, start)
            while await consumer.position(tp) < end:
                fetched = await consumer.getmany(tp, timeout_ms=_POLL_MS)
                yield fetched.get(tp, [])
            self._next[partition] = end
        finally:
            await consumer.stop()
