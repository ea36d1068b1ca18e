"""Seed the deduplication state of the router with the ids of stored events (ADR 43).

The router restores its state from `events-session`. A seed is a punctuation record in this topic
with the id and position of an event. Consumers of events skip it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, or_, select

from headrace.ops.adopt.offsets import EventKey
from headrace.ops.audit.snapshot import POSITION_COLUMNS, Snapshot, source_of
from schemas.event_types import TICK
from schemas.headers import CLIENT_ID, EVENT_ID, TYPE, Source
from sinks.sql.tables import EventRow, table_of
from sinks.sql.types import from_micros
from streams.domain.routing.dedupe import CLIENT_IDS
from streams.engine.producer import OutRecord

_EVENTS = table_of(EventRow)


class Seed(NamedTuple):
    """A stored event, with its log time (ms)."""

    key: EventKey
    partition: int
    position: int
    log_ms: int


def recent_seeds(snapshot: Snapshot, until_ms: Mapping[int, int]) -> Iterator[Seed]:
    """Yield the events whose ids the router would retain, ordered by position.

    `until_ms` is the stream time of each partition, and the latest log time of its seeds.
    """
    keep, keep_ms, limit = CLIENT_IDS
    position_columns = [_EVENTS.columns[name] for name in POSITION_COLUMNS]
    number = func.row_number().over(
        partition_by=position_columns[0],
        order_by=[column.desc() for column in position_columns[1:]],
    )
    names = ("event_id", "site_id", "session_id", "received_at")
    numbered = select(
        *(_EVENTS.columns[name] for name in names), *position_columns, number.label("number")
    )
    found = numbered.subquery()
    query = (
        select(found)
        .where(
            found.c.number <= limit,
            or_(
                found.c.number <= keep,
                found.c.received_at >= from_micros((min(until_ms.values()) - keep_ms) * 1_000),
            ),
        )
        .order_by(*(found.columns[name] for name in POSITION_COLUMNS))
    )
    for row in snapshot.rows(query):
        src = source_of(row, until_ms[row.kafka_partition])
        key = (str(row.event_id), row.site_id, row.session_id)
        yield Seed(key, src.partition, src.offset, src.log_ms)


def seed_records(
    seeds: Iterable[Seed], partition_of: Callable[[bytes], int]
) -> Iterator[tuple[int, OutRecord]]:
    """Yield the record of each seed, with the partition of its key.

    The previous topics may have had fewer partitions.
    """
    for (event_id, site, session), partition, position, log_ms in seeds:
        headers = (
            (EVENT_ID, UUID(event_id).bytes),
            (TYPE, TICK.encode()),
            (CLIENT_ID, b""),
            *Source(partition, position, log_ms).headers(),
        )
        key = f"{site}:{session}".encode()
        yield partition_of(key), OutRecord(key, None, headers)
