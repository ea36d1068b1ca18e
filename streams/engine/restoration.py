"""Restoration of tables from their changelogs, with a consumer without a group."""

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka import TopicPartition

from kafka_clients.clients import make_consumer
from schemas.kafka_settings import KafkaSettings
from streams.engine.offsets import assign_paused
from streams.engine.table import BatchTable

_POLL_MS = 500
#: Changelog records that are applied before other tasks run.
_MAX_RECORDS = 5_000

#: The table of each changelog partition.
Tables = dict[TopicPartition, BatchTable[Any]]


class Restoration:
    """Restores partitions of tables, except those that are complete from an earlier assignment."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        #: Offsets of the changelogs in the current or last restoration, and those not yet read.
        self.total = 0
        self.remaining = 0

    @property
    def progress(self) -> str | None:
        """Return the progress as a phrase; None if nothing is being restored."""
        if not self.remaining:
            return None
        return f"{self.total - self.remaining:,} of {self.total:,} changelog records restored"

    async def run(self, parts: Iterable[tuple[BatchTable[Any], int]]) -> None:
        """Restore partitions of tables up to the end of their changelogs.

        Raises `KafkaError` if Kafka is not available; can then be called again.
        """
        tables = {TopicPartition(table.topic.name, number): table for table, number in parts}
        if not tables:
            return
        consumer = make_consumer(self._kafka, auto_offset_reset="earliest")
        await consumer.start()
        try:
            await self._restore(consumer, tables)
        finally:
            self.remaining = 0
            await consumer.stop()

    async def _restore(self, consumer: Any, tables: Tables) -> None:
        assign_paused(consumer, list(tables))
        ends = await consumer.end_offsets(list(tables))
        incomplete = [
            tp for tp, table in tables.items() if not table.is_complete(tp.partition, ends[tp])
        ]
        begins = await consumer.beginning_offsets(incomplete)
        for tp in incomplete:
            tables[tp].begin_recovery(tp.partition)
            consumer.seek(tp, begins[tp])
        consumer.resume(*incomplete)
        self.total = sum(ends[tp] - begins[tp] for tp in incomplete)
        reading = {tp: begins[tp] for tp in incomplete}
        while True:
            for tp in [tp for tp, position in reading.items() if position >= ends[tp]]:
                consumer.pause(tp)
                tables[tp].end_recovery(tp.partition, reading.pop(tp))
            self.remaining = sum(ends[tp] - position for tp, position in reading.items())
            if not reading:
                return
            fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MAX_RECORDS)
            for tp, records in fetched.items():
                tables[tp].recover(tp.partition, records)
            await asyncio.sleep(0)  # getmany() returns buffered records without yielding
            reading = {tp: await consumer.position(tp) for tp in reading}
