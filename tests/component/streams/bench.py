"""An agent in a worker without Kafka: real tables and batches, and a recording producer."""

import inspect
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from schemas.codec import encode
from schemas.event_types import ERASE, TICK
from schemas.headers import DLQ_REASON, EVENT_ID, SOURCE, TYPE, find
from schemas.kafka_settings import KafkaSettings
from schemas.records import RawEvent
from schemas.topics import Topic
from streams.engine.agent import Agent
from streams.engine.batch import Batch
from streams.engine.processor import BatchProcessor
from streams.engine.producer import OutRecord
from streams.engine.worker import Worker
from tests.unit.streams.samples import NOON_MS, source


class InRecord(NamedTuple):
    """A record as agents read it."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    partition: int = 0
    timestamp: int = NOON_MS


def raw_record(offset: int, event: RawEvent, *more: tuple[str, bytes], **place: int) -> InRecord:
    """Return the record of an event in `events-raw`."""
    headers = (
        (EVENT_ID, bytes.fromhex(event.event_id.replace("-", ""))),
        (TYPE, event.type.encode()),
        *more,
    )
    key = f"{event.site_id}:{event.session_id}".encode()
    return InRecord(offset, key, encode(event), headers, **place)


def routed(offset: int, event: RawEvent, log_ms: int = NOON_MS, partition: int = 0) -> InRecord:
    """Return the routed record of an event; its source position has the same offset."""
    src = (SOURCE, source(offset, log_ms, partition).pack())
    return raw_record(offset, event, src, partition=partition)


def routed_tick(offset: int, log_ms: int) -> InRecord:
    """Return a routed tick."""
    headers = ((TYPE, TICK.encode()), (SOURCE, source(offset, log_ms).pack()))
    return InRecord(offset, None, None, headers)


def routed_erasure(offset: int, key: bytes | None, log_ms: int = NOON_MS) -> InRecord:
    """Return a routed erasure of a session."""
    headers = ((TYPE, ERASE.encode()), (SOURCE, source(offset, log_ms).pack()))
    return InRecord(offset, key, None, headers)


@dataclass
class NotingProducer:
    """Records what is sent, by topic and partition."""

    sent: defaultdict[tuple[str, int], list[OutRecord]] = field(
        default_factory=lambda: defaultdict(list)
    )
    refused: None = None

    async def send(self, topic: str, partition: int, records: Iterable[OutRecord]) -> int:
        """Record the records, and return the next offset."""
        self.sent[topic, partition].extend(records)
        return len(self.sent[topic, partition])


class Bench(Worker):
    """A worker with one agent, which tests run."""

    def __init__(self, register: Callable[[Worker], None], epoch: int = 0) -> None:
        super().__init__("bench", KafkaSettings(), epoch=epoch)
        self.noted = NotingProducer()
        register(self)

    def add(self, agent: Agent) -> None:
        """Store the agent, without Faust."""
        self.one = agent

    @property
    def source(self) -> Topic:
        """The source topic of the agent."""
        return self.one.source

    async def assign(self, partition: int = 0) -> None:
        """Assign a partition to the agent."""
        if self.one.prepare is not None:
            await self.one.prepare(partition)

    async def run_batch(self, *records: InRecord) -> Batch:
        """Process a batch and write its states, as the worker does."""
        first = records[0]
        batch = Batch(self.one.name, self.source.name, first.partition, records)
        outcome = self.one.process(batch)
        if inspect.isawaitable(outcome):
            await outcome
        noted: Any = self.noted
        for table in self.one.tables:
            await table.write_staged(first.partition, batch.last_offset, noted)
        return batch

    @asynccontextmanager
    async def started(self, *places: TopicPartition) -> AsyncIterator["Bench"]:
        """Run the agent in Faust with partitions, without Kafka: call `handle` for batches."""
        noted: Any = self.noted
        self.processor = BatchProcessor(self.group, noted, self.fence, self.breaker, self.capacity)
        self.group.owned = frozenset(places)
        super().add(self.one)
        self.fence.begin()
        self.app.finalize()
        await self.app.start()
        self.app.flow_control.resume()
        try:
            yield self
        finally:
            await self.app.stop()

    def written(self, topic: Topic, partition: int = 0) -> list[tuple[bytes | None, bytes | None]]:
        """Return the keys and values sent to a table's topic."""
        return [(out.key, out.value) for out in self.noted.sent[topic.name, partition]]

    def recover(self, before: "Bench", partition: int = 0) -> None:
        """Restore the tables of another worker, as in a takeover."""
        for table in self.one.tables:
            sent = before.noted.sent[table.topic.name, partition]
            fetched = [
                InRecord(n, *out[:2], tuple(out[2]), partition) for n, out in enumerate(sent)
            ]
            table.of(partition).recover(fetched)


def reasons(batch: Batch) -> list[str]:
    """Return the reasons of dead letters."""
    return [(find(out.headers, DLQ_REASON) or b"").decode() for out in batch.dead_letters]
