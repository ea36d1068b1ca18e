"""Which events of the new log the database has already: a log that was copied, or restored."""

import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import NamedTuple
from uuid import UUID

from aiokafka import TopicPartition

from infra.adopt.seeds import Seed
from infra.adopt.stored import Name, places_of
from infra.database import run_once
from schemas import headers
from schemas.headers import find
from schemas.kafka_settings import KafkaSettings
from schemas.positions import position
from schemas.raw import dead_letter_reason
from schemas.settings import DatabaseSettings
from schemas.topics import EVENTS_RAW
from streams.engine.log_tail import LogTail

#: All records of a partition.
_ALL = 1 << 62


class Known(NamedTuple):
    """Where and when (ms) a partition's first event stands that is not stored; repeats after it.

    Without such an event, `start` is after the last one that is stored, and `start_ms` is now.
    """

    start: int
    start_ms: int
    repeats: list[Seed]


async def known_events(
    kafka: KafkaSettings, database: DatabaseSettings, begins: Mapping[TopicPartition, int]
) -> dict[int, Known]:
    """Read `events-raw` to its end, and look its events up in the database.

    What begins with stored events is continued after them. Stored events after the first new one
    become seeds: the router must drop them.
    """
    tail = LogTail(kafka, EVENTS_RAW.name, _ALL)
    found: dict[int, Known] = {}
    for place, begin in begins.items():
        start, start_ms, repeats = begin, None, list[Seed]()
        async for names in _names(tail, place.partition):
            wanted = {name for name, _ in names.values()}
            places = await run_once(database, partial(places_of, names=wanted))
            for offset, (name, log_ms) in names.items():
                at = places.get(name)
                if at is None:
                    start_ms = log_ms if start_ms is None else start_ms
                elif start_ms is None:
                    start = offset + 1
                else:
                    repeats.append(Seed(name, at[0], position(at[1], at[2]), start_ms))
        now_ms = int(time.time() * 1_000)
        found[place.partition] = Known(start, now_ms if start_ms is None else start_ms, repeats)
    return found


async def _names(tail: LogTail, partition: int) -> AsyncIterator[dict[int, tuple[Name, int]]]:
    """Yield, in fetches, the names and log times (ms) of the events by their offsets."""
    async for records in tail.catch_up(partition):
        named = [(record, _name(record.key, record.headers)) for record in records]
        yield {one.offset: (name, one.timestamp) for one, name in named if name is not None}


def _name(key: bytes | None, of: headers.Headers) -> Name | None:
    if dead_letter_reason(key, of) is not None:
        return None  # a tick, or what the router dead-letters
    site, _, session = (key or b"").decode().partition(":")
    return str(UUID(bytes=find(of, headers.EVENT_ID) or b"")), site, session
