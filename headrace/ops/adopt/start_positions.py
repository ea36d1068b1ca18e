"""Find the offsets at which a copied or restored log continues after the events in SQL."""

import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import NamedTuple
from uuid import UUID

from aiokafka import TopicPartition

from headrace.admin.database import run_once
from headrace.ops.adopt.offsets import EventKey, positions_of
from headrace.ops.adopt.seeds import Seed
from schemas import headers
from schemas.headers import find
from schemas.kafka_settings import KafkaSettings
from schemas.positions import position
from schemas.raw_records import dead_letter_reason
from schemas.settings import DatabaseSettings
from schemas.topics import EVENTS_RAW
from streams.engine.log_tail import LogTail

#: All records of a partition.
_ALL = 1 << 62


class Start(NamedTuple):
    """The offset and log time (ms) of the first event of a partition that is not in SQL.

    If all are in SQL: the end offset, and the current time. `duplicates` are the events after this
    offset that are in SQL.
    """

    offset: int
    log_ms: int
    duplicates: list[Seed]


async def find_starts(
    kafka: KafkaSettings, database: DatabaseSettings, begins: Mapping[TopicPartition, int]
) -> dict[int, Start]:
    """Read `events-raw` up to its end, and look up its events in SQL.

    Processing of a partition starts after the stored events at its beginning. Stored events after
    the first new one become seeds, so that the router drops them.
    """
    tail = LogTail(kafka, EVENTS_RAW.name, _ALL)
    found: dict[int, Start] = {}
    for tp, begin in begins.items():
        start, start_ms, duplicates = begin, None, list[Seed]()
        async for fetched in _event_keys(tail, tp.partition):
            keys = {key for key, _ in fetched.values()}
            stored = await run_once(database, partial(positions_of, keys=keys))
            for offset, (key, log_ms) in fetched.items():
                at = stored.get(key)
                if at is None:
                    start_ms = log_ms if start_ms is None else start_ms
                elif start_ms is None:
                    start = offset + 1
                else:
                    duplicates.append(Seed(key, at[0], position(at[1], at[2]), start_ms))
        now_ms = int(time.time() * 1_000)
        found[tp.partition] = Start(start, now_ms if start_ms is None else start_ms, duplicates)
    return found


async def _event_keys(
    tail: LogTail, partition: int
) -> AsyncIterator[dict[int, tuple[EventKey, int]]]:
    """Yield the keys and log times (ms) of events by offset, one dict per fetch."""
    async for records in tail.catch_up(partition):
        keyed = [(record, _event_key(record.key, record.headers)) for record in records]
        yield {record.offset: (key, record.timestamp) for record, key in keyed if key is not None}


def _event_key(key: bytes | None, record_headers: headers.Headers) -> EventKey | None:
    if dead_letter_reason(key, record_headers) is not None:
        return None  # a punctuation record, or a record that the router dead-letters
    site, _, session = (key or b"").decode().partition(":")
    return str(UUID(bytes=find(record_headers, headers.EVENT_ID) or b"")), site, session
