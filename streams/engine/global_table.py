"""Global tables: a whole topic, read from its start and kept up to date."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import UnknownTopicOrPartitionError

from kafka_clients.clients import CLIENT_ERRORS
from kafka_clients.topic_reader import IDLE_MS, Fetch, fetches, make_topic_reader
from schemas.kafka_settings import KafkaSettings
from streams.engine.producer import StoppingError

log = logging.getLogger(__name__)

#: How long to wait for a fetch while the records that existed at the start are read.
_CATCH_UP_MS = 500
_RETRY_SECONDS = 1.0


class GlobalTable:
    """Passes every record of a topic to `apply`, in the order of each partition.

    Like Kafka Streams' GlobalKTable, it reads all partitions in each process, in no consumer group.
    `partitions` is the number that the topic must have, None for any. `run` it in the background.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        partitions: int | None,
        apply: Callable[[bytes | None, bytes | None], None],
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._partitions = partitions
        self._places: list[TopicPartition] = []
        self._apply = apply
        self._next: dict[TopicPartition, int] = {}
        self._complete = asyncio.Event()
        self._ended = False

    async def complete(self) -> None:
        """Return when all records that were in the topic at the start are applied.

        Raises `StoppingError` when `run` ends before that.
        """
        await self._complete.wait()
        if self._ended:
            raise StoppingError(f"stopped before {self._topic} was read")

    async def run(self) -> None:
        """Read until cancelled; retry while Kafka is not available."""
        try:
            while True:
                try:
                    await self._read_all()
                except CLIENT_ERRORS as error:
                    log.warning("%s cannot be read (%r); trying again", self._topic, error)
                await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self._ended = True
            self._complete.set()

    async def _read_all(self) -> None:
        # A consumer of a topic without a group has all of its partitions.
        topics = [self._topic] if self._partitions is None else []
        consumer = make_topic_reader(self._kafka, *topics)
        try:
            await consumer.start()
            if self._partitions is None:
                self._places = list(consumer.assignment())
            else:
                numbers = range(self._partitions)
                self._places = [TopicPartition(self._topic, number) for number in numbers]
                consumer.assign(self._places)
            if not self._places:
                raise UnknownTopicOrPartitionError(self._topic)
            # Offset requests would wait for a fetch in flight: a broker answers in order.
            consumer.pause(*self._places)
            ends = await consumer.end_offsets(self._places)
            starts = await consumer.beginning_offsets(self._places)
            for place in self._places:
                consumer.seek(place, self._next.setdefault(place, starts[place]))
            consumer.resume(*self._places)
            async for fetched in fetches(consumer, self._wait_ms):
                await self._apply_all(consumer, fetched)
                if not self._complete.is_set() and self._has_reached(ends):
                    self._complete.set()
        finally:
            await consumer.stop()

    def _wait_ms(self) -> int:
        return IDLE_MS if self._complete.is_set() else _CATCH_UP_MS

    async def _apply_all(self, consumer: Any, fetched: Fetch) -> None:
        for records in fetched.values():
            for record in records:
                self._apply(record.key, record.value)
        for place in self._places:
            self._next[place] = await consumer.position(place)

    def _has_reached(self, ends: dict[TopicPartition, int]) -> bool:
        return all(self._next[place] >= end for place, end in ends.items())
