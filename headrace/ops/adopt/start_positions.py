"""Find the offsets at which a copied or restored log continues after the events in SQL."""

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from aiokafka import TopicPartition

from headrace.admin.database import run_once
from headrace.ops.adopt.offsets import EventKey, positions_of
from headrace.ops.adopt.seeds import Seed
from schemas import headers
from schemas.codec import CodecError, decode
from schemas.event_types import ERASE
from schemas.headers import ERASE_FROM, ERASE_UNTIL, find
from schemas.kafka_settings import KafkaSettings
from schemas.positions import position
from schemas.raw_records import dead_letter_reason
from schemas.records import RawEvent
from schemas.settings import DatabaseSettings
from schemas.topics import EVENTS_RAW
from streams.engine.log_tail import LogTail

#: All records of a partition.
_ALL = 1 << 62

#: By record key: the offset of each erasure, and the range of `event_ts` (us) that it erases.
_Erasures = Mapping[bytes | None, list[tuple[int, int, int]]]


class Start(NamedTuple):
    """The offset and log time (ms) of the first event of a partition that is new to SQL.

    If none is new: the end offset, and the current time. `duplicates` are the events after this
    offset that are in SQL, or were erased.
    """

    offset: int
    log_ms: int
    duplicates: list[Seed]


class _Event(NamedTuple):
    """An event in the log: its key and log time (ms), and whether a later record erases it."""

    key: EventKey
    log_ms: int
    is_erased: bool


async def find_starts(
    kafka: KafkaSettings, database: DatabaseSettings, begins: Mapping[TopicPartition, int]
) -> dict[int, Start]:
    """Read `events-raw` up to its end, and look up its events in SQL.

    Processing of a partition starts after the stored and erased events at its beginning. Those
    after the first new one become seeds, so that the router drops them: an erased event must not
    raise alerts again.
    """
    found: dict[int, Start] = {}
    for tp, begin in begins.items():
        erasures = await _read_erasures(kafka, tp.partition)
        start, start_ms, duplicates = begin, None, list[Seed]()
        async for fetched in _events(kafka, tp.partition, erasures):
            keys = {event.key for event in fetched.values()}
            stored = await run_once(database, partial(positions_of, keys=keys))
            for offset, (key, log_ms, is_erased) in fetched.items():
                at = stored.get(key, (tp.partition, 0, offset) if is_erased else None)
                if at is None:
                    start_ms = log_ms if start_ms is None else start_ms
                elif start_ms is None:
                    start = offset + 1
                else:
                    duplicates.append(Seed(key, at[0], position(at[1], at[2]), start_ms))
        now_ms = int(time.time() * 1_000)
        found[tp.partition] = Start(start, now_ms if start_ms is None else start_ms, duplicates)
    return found


async def _read_erasures(kafka: KafkaSettings, partition: int) -> _Erasures:
    """Return the erasures of a partition of `events-raw`, by record key."""
    erasures = defaultdict[bytes | None, list[tuple[int, int, int]]](list)
    async for records in LogTail(kafka, EVENTS_RAW.name, _ALL).catch_up(partition):
        for record in records:
            if find(record.headers, headers.TYPE) == ERASE.encode():
                ends = (find(record.headers, name) for name in (ERASE_FROM, ERASE_UNTIL))
                first, last = (int(end or b"0") for end in ends)
                erasures[record.key].append((record.offset, first, last))
    return erasures


async def _events(
    kafka: KafkaSettings, partition: int, erasures: _Erasures
) -> AsyncIterator[dict[int, _Event]]:
    """Yield the events of a partition by offset, one dict per fetch."""
    async for records in LogTail(kafka, EVENTS_RAW.name, _ALL).catch_up(partition):
        keyed = [(record, _event_key(record.key, record.headers)) for record in records]
        yield {
            record.offset: _Event(key, record.timestamp, _is_erased(record, erasures))
            for record, key in keyed
            if key is not None
        }


def _is_erased(record: Any, erasures: _Erasures) -> bool:
    later = [one for one in erasures.get(record.key, ()) if one[0] > record.offset]
    if not later:
        return False
    try:
        at = decode(record.value or b"", RawEvent).event_ts
    except CodecError:
        return False  # the sinks dead-letter it
    return any(first <= at <= last for _, first, last in later)


def _event_key(key: bytes | None, record_headers: headers.Headers) -> EventKey | None:
    if dead_letter_reason(key, record_headers) is not None:
        return None  # a punctuation record, or a record that the router dead-letters
    site, _, session = (key or b"").decode().partition(":")
    return str(UUID(bytes=find(record_headers, headers.EVENT_ID) or b"")), site, session
