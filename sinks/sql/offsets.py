"""The rows of `consumer_offsets`: how far each partition is, and in whose log."""

from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from schemas.topics import CLUSTER_EPOCHS, TOPICS
from sinks.sql.errors import ClusterMismatch, LogTruncated, NotAssigned
from sinks.sql.tables import ConsumerOffsetRow, EventRow, table_of
from sinks.sql.types import now_utc

_OFFSETS = table_of(ConsumerOffsetRow)

#: What to do when the database and the cluster do not belong together.
ADOPT = (
    "Use a new database, point headrace at the old cluster, or stop headrace and run "
    "`headrace adopt-cluster`, which adds this cluster's events to those that the database has "
    "(docs/reliability.md)."
)


class Place(NamedTuple):
    """One partition of one topic, as one app reads it in one cluster."""

    app: str
    cluster_id: str
    kafka_epoch: int
    topic: str
    partition: int


# Made once: they are two of the three statements of each batch.
_IS_PLACE = (
    _OFFSETS.c.app == bindparam("of_app"),
    _OFFSETS.c.topic == bindparam("of_topic"),
    _OFFSETS.c.partition == bindparam("of_partition"),
)
# FOR UPDATE is nothing on SQLite, whose transactions begin with the lock.
_LOCK = (
    select(_OFFSETS.c.next_offset, _OFFSETS.c.cluster_id, _OFFSETS.c.kafka_epoch)
    .where(*_IS_PLACE)
    .with_for_update()
)
_ADVANCE = update(_OFFSETS).where(*_IS_PLACE)


def check_log_end(topic: str, partition: int, next_offset: int, log_end: int) -> None:
    """Raise `LogTruncated` when the database is beyond the partition's end offset `log_end`."""
    if next_offset > log_end:
        raise LogTruncated(
            f"The database has {topic}[{partition}] up to offset {next_offset}, but the topic "
            f"ends at {log_end}: it was created again or lost its end, and what is written to it "
            f"now would be dropped as old. {ADOPT}"
        )


def check_known(connection: Connection, app: str) -> None:
    """Raise `ClusterMismatch` when events are there, but no offsets, or those of other topics."""
    topics = select(_OFFSETS.c.topic).where(_OFFSETS.c.app == app)
    known = set(connection.execute(topics.distinct()).scalars())
    if others := known - {topic.name for topic in TOPICS}:
        raise ClusterMismatch(
            f"The database holds results of the topics {', '.join(sorted(others))}: set "
            "HEADRACE_KAFKA__TOPIC_PREFIX as it was, or continue with other topics. "
            f"{ADOPT}"
        )
    events = select(table_of(EventRow).c.event_id).limit(1)
    if not known and connection.execute(events).first():
        raise ClusterMismatch(
            "The database holds events, but its table consumer_offsets is empty: of which Kafka "
            f"cluster they are is not known, and other events could be taken for them. {ADOPT}"
        )


def assign(connection: Connection, place: Place) -> int:
    """Make the row when it is not there, at offset 0; return its next offset."""
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert
    row = {**place._asdict(), "next_offset": 0, "updated_at": now_utc()}
    connection.execute(insert(_OFFSETS).values(row).on_conflict_do_nothing())
    return lock(connection, place)


def lock(connection: Connection, place: Place) -> int:
    """Lock the row until the transaction ends; return its next offset.

    Raises `NotAssigned` when there is no row, which would lock nothing, and `ClusterMismatch`.
    """
    found = connection.execute(_LOCK, _named(place)).first()
    if found is None:
        raise NotAssigned(
            f"{place.topic}[{place.partition}] has no row in consumer_offsets: "
            "it was deleted while a sink was writing, or assign() was not called; restart the sink"
        )
    next_offset, cluster_id, epoch = found
    if cluster_id != place.cluster_id:
        raise ClusterMismatch(
            f"The database holds {place.topic}[{place.partition}] of the Kafka cluster "
            f"{cluster_id}, and this is the cluster {place.cluster_id}: its events would be "
            f"dropped as old. {ADOPT}"
        )
    if epoch != place.kafka_epoch:
        raise ClusterMismatch(
            f"The database holds {place.topic}[{place.partition}] of epoch {epoch} of the Kafka "
            f"cluster {cluster_id}, whose topic {CLUSTER_EPOCHS.name} says "
            f"{place.kafka_epoch}: `headrace adopt-cluster` did not end, or the topic was deleted. "
            f"{ADOPT}"
        )
    return int(next_offset)


def advance(connection: Connection, place: Place, next_offset: int) -> None:
    """Set the row's next offset; the caller holds its lock and never goes back."""
    changes = {"next_offset": next_offset, "updated_at": now_utc()}
    connection.execute(_ADVANCE, _named(place) | changes)


def _named(place: Place) -> dict[str, Any]:
    return {"of_app": place.app, "of_topic": place.topic, "of_partition": place.partition}
