"""Decode the records of a routed topic: events with their source, punctuation and erasures."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

from schemas.codec import CodecError, encode
from schemas.event_types import ERASE, TICK
from schemas.headers import ERASE_VISITS, SOURCE, TYPE, Source, find
from schemas.positions import position
from schemas.records import RawEvent
from schemas.reject_reasons import DeadLetterReason
from schemas.topics import Topic
from streams.engine.aggregator import Aggregator, Erasing
from streams.engine.batch import Batch, InRecord
from streams.engine.stream_time import StreamTime

_ERASE = ERASE.encode()
#: Records without a value.
_CONTROL = frozenset({TICK.encode(), _ERASE})

#: Decodes an event, or only the fields that an agent reads; raises `CodecError`.
ReadEvent = Callable[[bytes], RawEvent]


def now_ms() -> int:
    """Return the time of the worker's clock (ms, UTC), which limits stream time."""
    return int(time.time() * 1_000)


def read_events(
    batch: Batch, read: ReadEvent, times: StreamTime, epoch: int = 0
) -> Iterator[tuple[InRecord, Source, RawEvent | None]]:
    """Yield each record with its source and its event, None for punctuation or an erasure.

    Records that cannot be decoded are rejected, those of epochs before `epoch` are skipped.
    `times` limits the log time of the source.
    """
    begin = position(epoch, 0)
    for record in batch.records:
        headers = record.headers
        # The router writes it first.
        packed = headers[0][1] if headers and headers[0][0] == SOURCE else find(headers, SOURCE)
        try:
            src = Source.unpack(packed or b"")
        except ValueError as error:
            batch.reject(record, DeadLetterReason.BAD_HEADERS, str(error))
            continue
        if src.offset < begin:
            continue
        value = record.value
        if value is None and find(headers, TYPE) in _CONTROL:
            yield record, times.limit(src), None
            continue
        try:
            event = read(value or b"")
        except CodecError as error:
            batch.reject(record, DeadLetterReason.UNDECODABLE, str(error))
            continue
        if not _is_key_of(record.key, event):
            batch.reject(record, DeadLetterReason.BAD_KEY, "the key does not match the event")
            continue
        yield record, times.limit(src, event.received_at // 1_000), event


def _is_key_of(key: bytes | None, event: RawEvent) -> bool:
    """Return True if the key is the event's `site_id:session_id` or `site_id`."""
    site = event.site_id
    return key == f"{site}:{event.session_id}".encode() or key == site.encode()


class EventStream:
    """The events of one batch, for an agent with an aggregator; `read` yields its records."""

    def __init__(
        self,
        batch: Batch,
        read: Iterator[tuple[InRecord, Source, RawEvent | None]],
        aggregator: Aggregator[Any],
        sends_to: Topic | None,
    ) -> None:
        self._batch = batch
        self._read = read
        self._aggregator = aggregator
        self._sends_to = sends_to

    async def apply(self, add: Callable[[RawEvent, Source], object]) -> None:
        """Call `add` with each event and its source, after stream time has advanced to it.

        An error in `add`, or in an erasure, dead-letters the record; the next one follows.
        """
        advance = self._aggregator.advance
        for record, src, event in self._read:
            while advance(src):  # noqa: ASYNC110 - there is nothing to wait for
                await asyncio.sleep(0)  # so that the fence gets its heartbeats
            try:
                if event is None:
                    self._erase(record, src)
                else:
                    add(event, src)
            except Exception as error:  # noqa: BLE001 - it is logged
                self._batch.reject_poison(record, error)

    def _erase(self, record: InRecord, src: Source) -> None:
        """Apply an erasure; no effect for punctuation."""
        if find(record.headers, TYPE) == _ERASE and isinstance(self._aggregator, Erasing):
            ids = (find(record.headers, ERASE_VISITS) or b"").decode()
            self._aggregator.erase(record.key, src, ids.split(",") if ids else ())

    def send(self, key: bytes, record: Any) -> None:
        """Send a record to the agent's output topic; None is a tombstone."""
        assert self._sends_to is not None  # noqa: S101 - for the type checker
        value = None if record is None else encode(record)
        self._batch.emit(self._sends_to.name, self._batch.partition, key, value)
