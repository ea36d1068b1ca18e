"""Following a topic: all of it, from its start, and on as it grows."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.engine.producer import StoppingError

log = logging.getLogger(__name__)

#: Until what was there at the start has been read.
_LOOK_MS = 500
#: From then on: what comes ends the wait, in the broker, here, and in between.
_REST_MS = 5_000
_AGAIN_SECONDS = 1.0


class Follower:
    """Hands every record of a topic to `apply`, in the order of each partition.

    It belongs to no group and commits nothing: each process that has one knows the whole
    topic. `run` it beside what needs it.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        partitions: int,
        apply: Callable[[bytes | None, bytes | None], None],
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._places = [TopicPartition(topic, partition) for partition in range(partitions)]
        self._apply = apply
        self._next: dict[TopicPartition, int] = {}
        self._complete = asyncio.Event()
        self._ended = False

    async def complete(self) -> None:
        """Return when all that was in the topic when following began is applied.

        `StoppingError` when `run` ends before that.
        """
        await self._complete.wait()
        if self._ended:
            raise StoppingError(f"ended before {self._topic} was read")

    async def run(self) -> None:
        """Follow until cancelled; while Kafka is away, try again and again."""
        try:
            while True:
                try:
                    await self._follow()
                except (KafkaError, OSError) as error:
                    log.warning("%s cannot be read (%r); trying again", self._topic, error)
                await asyncio.sleep(_AGAIN_SECONDS)
        finally:
            self._ended = True
            self._complete.set()

    async def _follow(self) -> None:
        consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_REST_MS,
            consumer_timeout_ms=_REST_MS,
        )
        await consumer.start()
        try:
            consumer.assign(self._places)
            # Questions would wait behind a fetch: the broker answers in order.
            consumer.pause(*self._places)
            ends = await consumer.end_offsets(self._places)
            starts = await consumer.beginning_offsets(self._places)
            for place in self._places:
                consumer.seek(place, self._next.setdefault(place, starts[place]))
            consumer.resume(*self._places)
            while True:
                if not self._complete.is_set() and self._has_reached(ends):
                    self._complete.set()
                await self._read(consumer)
        finally:
            await consumer.stop()

    async def _read(self, consumer: Any) -> None:
        wait_ms = _REST_MS if self._complete.is_set() else _LOOK_MS
        fetched = await consumer.getmany(timeout_ms=wait_ms)
        for records in fetched.values():
            for record in records:
                self._apply(record.key, record.value)
        for place in self._places:
            self._next[place] = await consumer.position(place)

    def _has_reached(self, ends: dict[TopicPartition, int]) -> bool:
        return all(self._next[place] >= end for place, end in ends.items())
