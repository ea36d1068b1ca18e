"""The table `consumer_offsets`: the next offset to store, per partition and Kafka cluster."""

from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from schemas.topics import CLUSTER_EPOCHS, TOPICS
from sinks.sql.errors import ClusterMismatch, LogTruncated, NotAssigned
from sinks.sql.tables import ConsumerOffsetRow, EventRow, table_of
from sinks.sql.types import now_utc

_OFFSETS = table_of(ConsumerOffsetRow)

#: Appended to errors about a database that does not belong to the cluster.
_ADOPT_HINT = (
    "Use a new database, point headrace at the old cluster, or stop headrace and run "
    "`headrace adopt-cluster`, which adds this cluster's events to those that the database has "
    "(docs/reliability.md)."
)


class SourcePartition(NamedTuple):
    """The key of a row: a topic partition of a cluster and epoch, as consumed by an app."""

    app: str
    cluster_id: str
    kafka_epoch: int
    topic: str
    partition: int


# Built once, because each batch executes these statements.
_MATCHES_KEY = (
    _OFFSETS.c.app == bindparam("of_app"),
    _OFFSETS.c.topic == bindparam("of_topic"),
    _OFFSETS.c.partition == bindparam("of_partition"),
)
# SQLite ignores FOR UPDATE; its transactions already hold the write lock.
_LOCK = (
    select(_OFFSETS.c.next_offset, _OFFSETS.c.cluster_id, _OFFSETS.c.kafka_epoch)
    .where(*_MATCHES_KEY)
    .with_for_update()
)
_ADVANCE = update(_OFFSETS).where(*_MATCHES_KEY)


def check_log_end(topic: str, partition: int, next_offset: int, log_end: int) -> None:
    """Raise `LogTruncated` if `next_offset` is beyond the partition's end offset `log_end`."""
    if next_offset > log_end:
        raise LogTruncated(
            f"The database has {topic}[{partition}] up to offset {next_offset}, but the topic "
            f"ends at {log_end}: it was recreated or lost its last records, and new records would "
            f"be dropped as duplicates. {_ADOPT_HINT}"
        )


def check_cluster(connection: Connection, app: str) -> None:
    """Raise `ClusterMismatch` if there are offsets of other topics, or events without offsets."""
    query = select(_OFFSETS.c.topic).where(_OFFSETS.c.app == app).distinct()
    topics = set(connection.execute(query).scalars())
    if others := topics - {topic.name for topic in TOPICS}:
        raise ClusterMismatch(
            f"The database holds results of the topics {', '.join(sorted(others))}: set "
            "HEADRACE_KAFKA__TOPIC_PREFIX to its previous value, or continue with other topics. "
            f"{_ADOPT_HINT}"
        )
    events = select(table_of(EventRow).c.event_id).limit(1)
    if not topics and connection.execute(events).first():
        raise ClusterMismatch(
            "The database holds events, but its table consumer_offsets is empty: it is unknown "
            "which Kafka cluster they come from, and this cluster's events could be stored twice. "
            f"{_ADOPT_HINT}"
        )


def assign(connection: Connection, source: SourcePartition) -> int:
    """Insert the row with offset 0 unless it exists; return its next offset."""
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert
    row = {**source._asdict(), "next_offset": 0, "updated_at": now_utc()}
    connection.execute(insert(_OFFSETS).values(row).on_conflict_do_nothing())
    return lock(connection, source)


def lock(connection: Connection, source: SourcePartition) -> int:
    """Lock the row until the transaction ends; return its next offset.

    Raises `NotAssigned` if the row does not exist, and `ClusterMismatch` if it is of another
    cluster or epoch.
    """
    row = connection.execute(_LOCK, _key_parameters(source)).first()
    if row is None:
        raise NotAssigned(
            f"{source.topic}[{source.partition}] has no row in consumer_offsets: "
            "it was deleted while a sink was writing, or assign() was not called; restart the sink"
        )
    next_offset, cluster_id, epoch = row
    if cluster_id != source.cluster_id:
        raise ClusterMismatch(
            f"The database holds {source.topic}[{source.partition}] of the Kafka cluster "
            f"{cluster_id}, and this is the cluster {source.cluster_id}: its events would be "
            f"dropped as old. {_ADOPT_HINT}"
        )
    if epoch != source.kafka_epoch:
        raise ClusterMismatch(
            f"The database holds {source.topic}[{source.partition}] of epoch {epoch} of the Kafka "
            f"cluster {cluster_id}, but its topic {CLUSTER_EPOCHS.name} has epoch "
            f"{source.kafka_epoch}: `headrace adopt-cluster` did not finish, or the topic was "
            f"deleted. {_ADOPT_HINT}"
        )
    return int(next_offset)


def advance(connection: Connection, source: SourcePartition, next_offset: int) -> None:
    """Set the row's next offset. The caller holds the row's lock and never decreases it."""
    changes = {"next_offset": next_offset, "updated_at": now_utc()}
    connection.execute(_ADVANCE, _key_parameters(source) | changes)


def _key_parameters(source: SourcePartition) -> dict[str, Any]:
    return {"of_app": source.app, "of_topic": source.topic, "of_partition": source.partition}
