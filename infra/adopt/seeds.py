"""Ids of stored events for the router's memory, so that it drops their repeats (ADR 43).

The router's memory is what is in `events-session`. A seed is a tick there that carries an event's
id and position: whoever reads the topic for events passes over it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, or_, select

from infra.adopt.stored import Name
from infra.audit.snapshot import PLACE, Snapshot, source_of
from schemas.event_types import TICK
from schemas.headers import CLIENT_ID, EVENT_ID, SOURCE, TYPE, Source
from sinks.sql.tables import EventRow, table_of
from sinks.sql.types import from_micros
from streams.domain.dedupe import CLIENT_IDS
from streams.engine.producer import OutRecord

_EVENTS = table_of(EventRow)


class Seed(NamedTuple):
    """An event that is stored: its partition, position and log time (ms)."""

    name: Name
    partition: int
    at: int
    log_ms: int


def recent(snapshot: Snapshot, until_ms: Mapping[int, int]) -> Iterator[Seed]:
    """Yield the events that the router would remember, by partition, in the order of positions.

    `until_ms` is the log time that each partition has reached; no seed is later.
    """
    keep, keep_ms, most = CLIENT_IDS
    place = [_EVENTS.columns[name] for name in PLACE]
    number = func.row_number().over(
        partition_by=place[0], order_by=[column.desc() for column in place[1:]]
    )
    names = ("event_id", "site_id", "session_id", "received_at")
    numbered = select(*(_EVENTS.columns[name] for name in names), *place, number.label("number"))
    found = numbered.subquery()
    query = (
        select(found)
        .where(
            found.c.number <= most,
            or_(
                found.c.number <= keep,
                found.c.received_at >= from_micros((min(until_ms.values()) - keep_ms) * 1_000),
            ),
        )
        .order_by(*(found.columns[name] for name in PLACE))
    )
    for row in snapshot.rows(query):
        src = source_of(row, until_ms[row.kafka_partition])
        name = (str(row.event_id), row.site_id, row.session_id)
        yield Seed(name, src.partition, src.offset, src.log_ms)


def records_of(seeds: Iterable[Seed]) -> Iterator[tuple[int, OutRecord]]:
    """Yield the records of seeds, each with its partition."""
    for (event_id, site, session), partition, at, log_ms in seeds:
        headers = (
            (EVENT_ID, UUID(event_id).bytes),
            (TYPE, TICK.encode()),
            (CLIENT_ID, b""),
            (SOURCE, Source(partition, at, log_ms).pack()),
        )
        yield partition, OutRecord(f"{site}:{session}".encode(), None, headers)
