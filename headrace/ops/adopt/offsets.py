"""The Kafka cluster and offsets in the database, and the move to another cluster."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from sqlalchemy import Connection, delete, func, insert, select

from headrace.errors import UserError
from headrace.ops.audit.snapshot import POSITION_COLUMNS
from schemas.batched import batched
from schemas.topics import EVENTS_RAW
from sinks.app import APP_ID as SINKS
from sinks.sql.tables import ConsumerOffsetRow, EventRow, table_of
from sinks.sql.types import now_utc

_OFFSETS, _EVENTS = table_of(ConsumerOffsetRow), table_of(EventRow)

#: Event ids per `IN`.
_IN_SIZE = 500

#: The primary key of `events`: event id, site, session.
EventKey = tuple[str, str, str]


class StoredOffsets(NamedTuple):
    """The clusters (id and epoch) and next offsets of the sinks, as stored in SQL.

    `last_epoch` and `last_partition` are the highest epoch and partition of any event or offset.
    """

    clusters: frozenset[tuple[str, int]]
    next_offsets: Mapping[TopicPartition, int]
    last_epoch: int
    last_partition: int | None

    @property
    def has_events(self) -> bool:
        """Whether the table `events` has rows."""
        return self.last_partition is not None

    @property
    def partitions(self) -> int | None:
        """The number of partitions of `events-raw` with any prefix, or None if unknown."""
        name = EVENTS_RAW.base_name
        found = [tp.partition for tp in self.next_offsets if tp.topic.endswith(name)]
        return 1 + max(found) if found else None

    def check_partitions(self, partitions: int) -> None:
        """Raise `UserError` unless the topics of the cluster had this number of partitions."""
        minimum = 1 + (-1 if self.last_partition is None else self.last_partition)
        if self.partitions in (None, partitions) and minimum <= partitions:
            return
        had = self.partitions or f"at least {minimum}"
        raise UserError(
            f"The topics of this cluster have {partitions} partitions, those of the previous one "
            f"had {had}: sessions would be split. Delete the topics of headrace in this cluster, "
            f"and create them with HEADRACE_KAFKA__PARTITIONS={self.partitions or minimum}"
        )


def read_offsets(connection: Connection) -> StoredOffsets:
    """Read the offsets of the sinks."""
    rows = connection.execute(select(_OFFSETS).where(_OFFSETS.c.app == SINKS)).all()
    # Also from `events`, because rows of `consumer_offsets` may have been lost.
    last_epoch, last_partition = connection.execute(
        select(func.max(_EVENTS.c.kafka_epoch), func.max(_EVENTS.c.kafka_partition))
    ).one()
    epochs = [row.kafka_epoch for row in rows]
    return StoredOffsets(
        frozenset((row.cluster_id, row.kafka_epoch) for row in rows),
        {TopicPartition(row.topic, row.partition): row.next_offset for row in rows},
        max([last_epoch or 0, *epochs]),
        last_partition,
    )


def positions_of(
    connection: Connection, keys: Collection[EventKey]
) -> dict[EventKey, tuple[int, int, int]]:
    """Return the partition, epoch and offset of each of the events that is stored."""
    found: dict[EventKey, tuple[int, int, int]] = {}
    for ids in batched(sorted({key[0] for key in keys}), _IN_SIZE):
        query = select(
            *(
                _EVENTS.columns[name]
                for name in ("event_id", "site_id", "session_id", *POSITION_COLUMNS)
            )
        ).where(_EVENTS.c.event_id.in_(ids))
        for event_id, site_id, session_id, *position in connection.execute(query):
            key = (str(event_id), site_id, session_id)
            if key in keys:
                found[key] = (position[0], position[1], position[2])
    return found


def replace_offsets(
    connection: Connection, cluster_id: str, epoch: int, next_offsets: Mapping[TopicPartition, int]
) -> None:
    """Replace the offsets of the sinks with those of another cluster."""
    connection.execute(delete(_OFFSETS).where(_OFFSETS.c.app == SINKS))
    rows: list[dict[str, Any]] = [
        {
            "app": SINKS,
            "topic": tp.topic,
            "partition": tp.partition,
            "next_offset": offset,
            "cluster_id": cluster_id,
            "kafka_epoch": epoch,
            "updated_at": now_utc(),
        }
        for tp, offset in next_offsets.items()
    ]
    connection.execute(insert(_OFFSETS), rows)
