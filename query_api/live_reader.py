"""Reads `live-counters` without a consumer group, so that each process has all sites."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import UnknownTopicOrPartitionError

from kafka_clients.clients import CLIENT_ERRORS
from kafka_clients.topic_reader import IDLE_MS, Fetch, fetches, make_topic_reader
from query_api.live_store import LiveStore
from schemas.headers import COUNTED, find, unpack_counted
from schemas.kafka_settings import KafkaSettings
from schemas.topics import LIVE_COUNTERS

_log = logging.getLogger(__name__)

#: How far to seek back at start: older counters have expired or were replaced.
_SEEK_BACK_MS = 120_000
#: Poll timeout until the end offsets at the start are reached.
_CATCH_UP_MS = 200
_RETRY_SECONDS = 0.3


class LiveReader:
    """Fills a store from Kafka. `problem` is why the store is not up to date; None if it is."""

    def __init__(self, kafka: KafkaSettings, store: LiveStore) -> None:
        # Contains the topic, because the client takes long to report a missing one.
        self.problem: str | None = f"Live counters are not read yet (topic {LIVE_COUNTERS.name})"
        #: The number of malformed records.
        self.malformed = 0
        self._kafka = kafka
        self.store = store
        #: The highest record timestamp, from which a new client continues.
        self._last_ms = 0
        self._task: asyncio.Task[None] | None = None

    def start(self, now_ms: int) -> None:
        """Start a task that reads from two minutes before `now_ms`."""
        self.store.begin_load()
        self._task = asyncio.get_running_loop().create_task(self._run(now_ms))

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, now_ms: int) -> None:
        """Read until cancelled; retry after errors."""
        while True:
            try:
                await self._read(now_ms)
            except UnknownTopicOrPartitionError:
                self._set_problem(
                    f"Live counters are not read: the topic {LIVE_COUNTERS.name} does not exist"
                )
            except CLIENT_ERRORS as error:
                self._set_problem(f"Live counters are not read: {error}")
            now_ms = self._last_ms or now_ms
            await asyncio.sleep(_RETRY_SECONDS)

    async def _read(self, now_ms: int) -> None:
        consumer = make_topic_reader(self._kafka, LIVE_COUNTERS.name)
        try:
            await consumer.start()
            ends = await _seek(consumer, now_ms - _SEEK_BACK_MS)
            async for fetched in fetches(consumer, self._wait_ms):
                self._apply(fetched)
                if self.problem and await _has_reached(consumer, ends):
                    self.store.finish_load([tp.partition for tp in ends])
                    self.problem = None
        finally:
            await consumer.stop()

    def _wait_ms(self) -> int:
        return _CATCH_UP_MS if self.problem else IDLE_MS

    def _apply(self, fetched: Fetch) -> None:
        for records in fetched.values():
            for record in records:
                self._last_ms = max(self._last_ms, record.timestamp)
                try:
                    counted = find(record.headers, COUNTED)
                    if counted is None:
                        self.store.put(record.value or b"", record.timestamp)
                    else:
                        self.store.update_completeness(unpack_counted(counted), record.timestamp)
                except ValueError as error:  # includes CodecError
                    self.malformed += 1
                    if self.malformed == 1:
                        _log.warning("Malformed record in %s: %.200s", LIVE_COUNTERS.name, error)

    def _set_problem(self, problem: str) -> None:
        """Set the problem, and log it if it is new."""
        if problem != self.problem:
            _log.warning("%s; retrying", problem)
        self.problem = problem


async def _seek(consumer: Any, since_ms: int) -> dict[TopicPartition, int]:
    """Seek to a time, and return the end offsets."""
    assigned = consumer.assignment()
    # Paused, because the broker would only process these requests after a pending fetch.
    consumer.pause(*assigned)
    offsets = await consumer.offsets_for_times(dict.fromkeys(assigned, since_ms))
    ends: dict[TopicPartition, int] = await consumer.end_offsets(assigned)
    for tp in assigned:
        consumer.seek(tp, offsets[tp].offset if offsets.get(tp) else ends[tp])
    consumer.resume(*assigned)
    return ends


async def _has_reached(consumer: Any, ends: dict[TopicPartition, int]) -> bool:
    for tp, end in ends.items():
        if await consumer.position(tp) < end:
            return False
    return True
