"""The last records of a topic, which this agent or a previous owner of the partition wrote."""

import logging
from collections.abc import AsyncIterator
from typing import Any

from aiokafka import TopicPartition

from kafka_clients.clients import make_consumer
from schemas.kafka_settings import KafkaSettings
from streams.engine.offsets import assign_paused

log = logging.getLogger(__name__)

_POLL_MS = 1_000


class LogTail:
    """Reads the last `limit` offsets of a topic's partitions, without a consumer group.

    The next call continues from the end of the previous one. Offsets before `begin` are left out.
    """

    def __init__(self, kafka: KafkaSettings, topic: str, limit: int, begin: int = 0) -> None:
        self._kafka = kafka
        self._topic = topic
        self._limit = limit
        self._begin = begin
        self._next: dict[int, int] = {}
        #: Partitions whose beginning offset was greater than the requested start offset.
        self.expired: set[int] = set()

    async def catch_up(self, partition: int) -> AsyncIterator[list[Any]]:
        """Yield the records since the last call up to the current end offset, fetch by fetch."""
        tp = TopicPartition(self._topic, partition)
        consumer = make_consumer(self._kafka, auto_offset_reset="earliest")
        await consumer.start()
        try:
            assign_paused(consumer, [tp])
            end = (await consumer.end_offsets([tp]))[tp]
            begin = (await consumer.beginning_offsets([tp]))[tp]
            requested = max(self._begin, end - self._limit, self._next.get(partition, 0))
            start = max(begin, requested)
            if begin > requested:
                self.expired.add(partition)
            consumer.seek(tp, start)
            consumer.resume(tp)
            while await consumer.position(tp) < end:
                fetched = await consumer.getmany(tp, timeout_ms=_POLL_MS)
                yield fetched.get(tp, [])
            self._next[partition] = end
        finally:
            await consumer.stop()
