"""Reading `live-counters` whole, without a group: every process that answers knows everything."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from schemas.codec import CodecError
from schemas.topics import LIVE_COUNTERS
from sinks.query.live_board import Board

_log = logging.getLogger(__name__)

#: What is older has expired, or was renewed since.
_BACK_MS = 120_000
#: Until what was there at the start has been read.
_LOOK_MS = 200
#: From then on: what comes ends the wait, in the broker, here, and in between.
_REST_MS = 5_000
_RETRY_SECONDS = 0.3
_MOST_RECORDS = 1_000


class LiveReader:
    """Fills a board from Kafka; `trouble` says why it is not up to date, None when it is."""

    def __init__(self, bootstrap_servers: str, board: Board) -> None:
        # The client waits long for a topic before it says that there is none.
        self.trouble: str | None = f"Live counters are not read yet (topic {LIVE_COUNTERS.name})"
        self.unreadable = 0
        self._bootstrap_servers = bootstrap_servers
        self.board = board
        self._told = ""
        self._task: asyncio.Task[None] | None = None

    def start(self, now_ms: int) -> None:
        """Begin to read, from two minutes before `now_ms`; returns at once."""
        self._task = asyncio.get_running_loop().create_task(self._run(now_ms))

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, now_ms: int) -> None:
        """Read for ever; whatever goes wrong with Kafka is told once and tried again."""
        while True:
            try:
                await self._read(now_ms)
            except UnknownTopicOrPartitionError:
                self._tell(f"Live counters are not read: there is no topic {LIVE_COUNTERS.name}")
            except (KafkaError, OSError) as error:
                self._tell(f"Live counters are not read: {error}")
            await asyncio.sleep(_RETRY_SECONDS)

    async def _read(self, now_ms: int) -> None:
        # Without a group it has all partitions.
        consumer = AIOKafkaConsumer(
            LIVE_COUNTERS.name,
            bootstrap_servers=self._bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_REST_MS,
            consumer_timeout_ms=_REST_MS,
        )
        try:
            await consumer.start()
            ends = await _go_back(consumer, now_ms - _BACK_MS)
            while True:
                if self.trouble and await _is_past(consumer, ends):
                    self.trouble, self._told = None, ""
                wait_ms = _LOOK_MS if self.trouble else _REST_MS
                self._take(await consumer.getmany(timeout_ms=wait_ms, max_records=_MOST_RECORDS))
        finally:
            await consumer.stop()

    def _take(self, fetched: dict[TopicPartition, list[Any]]) -> None:
        for records in fetched.values():
            for record in records:
                try:
                    self.board.put(record.value or b"", record.timestamp)
                except CodecError as error:
                    self.unreadable += 1
                    if self.unreadable == 1:
                        _log.warning("A record of %s is %.200s", LIVE_COUNTERS.name, error)

    def _tell(self, sentence: str) -> None:
        self.trouble = sentence
        if sentence != self._told:
            _log.warning("%s; trying again", sentence)
            self._told = sentence


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
