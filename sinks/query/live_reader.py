"""Reading `live-counters` whole, without a group: every process that answers knows everything."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import UnknownTopicOrPartitionError

from kafka_clients.clients import CLIENT_ERRORS
from kafka_clients.topic_reader import IDLE_MS, Fetch, fetches, make_topic_reader
from schemas.headers import COUNTED, find, unpack_counted
from schemas.kafka_settings import KafkaSettings
from schemas.topics import LIVE_COUNTERS
from sinks.query.live_board import Board

_log = logging.getLogger(__name__)

#: Older counters have expired or were renewed since.
_BACK_MS = 120_000
#: How long to wait for a fetch while the records that existed at the start are read.
_CATCH_UP_MS = 200
_RETRY_SECONDS = 0.3


class LiveReader:
    """Fills a board from Kafka; `trouble` says why it is not up to date, None when it is."""

    def __init__(self, kafka: KafkaSettings, board: Board) -> None:
        # The client waits long for a topic before it says that there is none.
        self.trouble: str | None = f"Live counters are not read yet (topic {LIVE_COUNTERS.name})"
        self.unreadable = 0
        self._kafka = kafka
        self.board = board
        #: The time of the latest record, from which a new client goes back.
        self._last_ms = 0
        self._task: asyncio.Task[None] | None = None

    def start(self, now_ms: int) -> None:
        """Begin to read, from two minutes before `now_ms`; returns at once."""
        self.board.start()
        self._task = asyncio.get_running_loop().create_task(self._run(now_ms))

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, now_ms: int) -> None:
        """Read for ever; log trouble with Kafka once, and try again."""
        while True:
            try:
                await self._read(now_ms)
            except UnknownTopicOrPartitionError:
                self._report(f"Live counters are not read: there is no topic {LIVE_COUNTERS.name}")
            except CLIENT_ERRORS as error:
                self._report(f"Live counters are not read: {error}")
            now_ms = self._last_ms or now_ms
            await asyncio.sleep(_RETRY_SECONDS)

    async def _read(self, now_ms: int) -> None:
        consumer = make_topic_reader(self._kafka, LIVE_COUNTERS.name)
        try:
            await consumer.start()
            ends = await _go_back(consumer, now_ms - _BACK_MS)
            async for fetched in fetches(consumer, self._wait_ms):
                self._take(fetched)
                if self.trouble and await _is_past(consumer, ends):
                    self.board.complete([place.partition for place in ends])
                    self.trouble = None
        finally:
            await consumer.stop()

    def _wait_ms(self) -> int:
        return _CATCH_UP_MS if self.trouble else IDLE_MS

    def _take(self, fetched: Fetch) -> None:
        for records in fetched.values():
            for record in records:
                self._last_ms = max(self._last_ms, record.timestamp)
                try:
                    counted = find(record.headers, COUNTED)
                    if counted is None:
                        self.board.put(record.value or b"", record.timestamp)
                    else:
                        self.board.note_counted(unpack_counted(counted), record.timestamp)
                except ValueError as error:  # `CodecError` is one
                    self.unreadable += 1
                    if self.unreadable == 1:
                        _log.warning("A record of %s is %.200s", LIVE_COUNTERS.name, error)

    def _report(self, sentence: str) -> None:
        """Log it once, and note it for readiness."""
        if sentence != self.trouble:
            _log.warning("%s; trying again", sentence)
        self.trouble = sentence


async def _go_back(consumer: Any, since_ms: int) -> dict[TopicPartition, int]:
    """Read on from a time; return where the partitions end now."""
    places = consumer.assignment()
    # Questions would wait behind a fetch: the broker answers in order.
    consumer.pause(*places)
    found = await consumer.offsets_for_times(dict.fromkeys(places, since_ms))
    ends: dict[TopicPartition, int] = await consumer.end_offsets(places)
    for place in places:
        consumer.seek(place, found[place].offset if found.get(place) else ends[place])
    consumer.resume(*places)
    return ends


async def _is_past(consumer: Any, ends: dict[TopicPartition, int]) -> bool:
    for place, end in ends.items():
        if await consumer.position(place) < end:
            return False
    return True
