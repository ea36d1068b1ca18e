"""Global tables: all partitions of a topic, read from the beginning and kept up to date."""

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

#: The poll timeout until the records that existed at the start are read.
_CATCH_UP_MS = 500
_RETRY_SECONDS = 1.0


class GlobalTable:
    """Passes every record of a topic to `apply`, in offset order per partition.

    Like Kafka Streams' GlobalKTable, it reads all partitions in each process, in no consumer group.
    `partitions` is the number of partitions; None reads it from the metadata. `run` it in the
    background.
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
        self._tps: list[TopicPartition] = []
        self._apply = apply
        self._next: dict[TopicPartition, int] = {}
        self._complete = asyncio.Event()
        #: The error that was logged last, until the topic can be read again.
        self._logged: type[Exception] | None = None
        self._ended = False

    async def complete(self) -> None:
        """Wait until all records that existed in the topic at the start are applied.

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
                    if type(error) is not self._logged:
                        log.warning("%s cannot be read (%r); retrying", self._topic, error)
                    self._logged = type(error)
                await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self._ended = True
            self._complete.set()

    async def _read_all(self) -> None:
        # A consumer that subscribes without a group is assigned all partitions.
        topics = [self._topic] if self._partitions is None else []
        consumer = make_topic_reader(self._kafka, *topics)
        try:
            await consumer.start()
            if self._partitions is None:
                self._tps = list(consumer.assignment())
            else:
                numbers = range(self._partitions)
                self._tps = [TopicPartition(self._topic, number) for number in numbers]
                consumer.assign(self._tps)
            if not self._tps:
                raise UnknownTopicOrPartitionError(self._topic)
            # Offset requests would wait for a fetch in flight: a broker answers in order.
            consumer.pause(*self._tps)
            ends = await consumer.end_offsets(self._tps)
            starts = await consumer.beginning_offsets(self._tps)
            for tp in self._tps:
                consumer.seek(tp, self._next.setdefault(tp, starts[tp]))
            consumer.resume(*self._tps)
            self._logged = None
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
        for tp in self._tps:
            self._next[tp] = await consumer.position(tp)

    def _has_reached(self, ends: dict[TopicPartition, int]) -> bool:
        return all(self._next[tp] >= end for tp, end in ends.items())
