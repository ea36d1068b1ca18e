"""What a database says of the Kafka cluster that it belongs to, and the change to another one."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from sqlalchemy import Connection, delete, func, insert, select

from infra.audit.snapshot import PLACE
from schemas.batched import batched
from schemas.topics import EVENTS_RAW
from sinks.app import APP_ID as SINKS
from sinks.sql.tables import ConsumerOffsetRow, EventRow, table_of
from sinks.sql.types import now_utc

_OFFSETS, _EVENTS = table_of(ConsumerOffsetRow), table_of(EventRow)

#: Event ids of one `IN`.
_AT_ONCE = 500

#: What an event is known by: its id, site and session.
Name = tuple[str, str, str]


class Stored(NamedTuple):
    """How far a database has which cluster: ids and epochs, and the next offsets."""

    clusters: frozenset[tuple[str, int]]
    next_offsets: Mapping[TopicPartition, int]
    last_epoch: int
    last_partition: int | None

    @property
    def has_events(self) -> bool:
        """Whether there are events at all."""
        return self.last_partition is not None

    @property
    def partitions(self) -> int | None:
        """The number of partitions of `events-raw`; None if it is not known."""
        found = [place.partition for place in self.next_offsets if place.topic == EVENTS_RAW.name]
        return 1 + max(found) if found else None


def read_stored(connection: Connection) -> Stored:
    """Return what the database says of its cluster."""
    rows = connection.execute(select(_OFFSETS).where(_OFFSETS.c.app == SINKS)).all()
    # Of all events, for a table of offsets may have lost rows.
    last_epoch, last_partition = connection.execute(
        select(func.max(_EVENTS.c.kafka_epoch), func.max(_EVENTS.c.kafka_partition))
    ).one()
    epochs = [row.kafka_epoch for row in rows]
    return Stored(
        frozenset((row.cluster_id, row.kafka_epoch) for row in rows),
        {TopicPartition(row.topic, row.partition): row.next_offset for row in rows},
        max([last_epoch or 0, *epochs]),
        last_partition,
    )


def places_of(connection: Connection, names: Collection[Name]) -> dict[Name, tuple[int, int, int]]:
    """Return the partition, epoch and offset of each of these events that is stored."""
    found: dict[Name, tuple[int, int, int]] = {}
    for ids in batched(sorted({name[0] for name in names}), _AT_ONCE):
        query = select(
            *(_EVENTS.columns[name] for name in ("event_id", "site_id", "session_id", *PLACE))
        ).where(_EVENTS.c.event_id.in_(ids))
        for event_id, site_id, session_id, *place in connection.execute(query):
            name = (str(event_id), site_id, session_id)
            if name in names:
                found[name] = (place[0], place[1], place[2])
    return found


def move(
    connection: Connection, cluster_id: str, epoch: int, next_offsets: Mapping[TopicPartition, int]
) -> None:
    """Have the sinks continue with a cluster from these offsets; the others are forgotten."""
    connection.execute(delete(_OFFSETS).where(_OFFSETS.c.app == SINKS))
    rows: list[dict[str, Any]] = [
        {
            "app": SINKS,
            "topic": place.topic,
            "partition": place.partition,
            "next_offset": offset,
            "cluster_id": cluster_id,
            "kafka_epoch": epoch,
            "updated_at": now_utc(),
        }
        for place, offset in next_offsets.items()
    ]
    connection.execute(insert(_OFFSETS), rows)
