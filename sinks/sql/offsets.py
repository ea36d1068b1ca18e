"""The rows of `consumer_offsets`: how far each partition is, and in whose log."""

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from sinks.sql.errors import ClusterMismatch, LogTruncated, NotAssigned
from sinks.sql.tables import ConsumerOffsetRow, table_of
from sinks.sql.types import now_utc


class Place(NamedTuple):
    """One partition of one topic, as one app reads it in one cluster."""

    app: str
    cluster_id: str
    topic: str
    partition: int


# Made once: they are two of the three statements of each batch.
_IS_PLACE = (
    col(ConsumerOffsetRow.app) == bindparam("of_app"),
    col(ConsumerOffsetRow.topic) == bindparam("of_topic"),
    col(ConsumerOffsetRow.partition) == bindparam("of_partition"),
)
_LOCK = (
    select(col(ConsumerOffsetRow.next_offset), col(ConsumerOffsetRow.cluster_id))
    .where(*_IS_PLACE)
    .with_for_update()  # nothing on SQLite, whose transactions begin with the lock
)
_ADVANCE = update(table_of(ConsumerOffsetRow)).where(*_IS_PLACE)


def check_log_end(topic: str, partition: int, next_offset: int, log_end: int) -> None:
    """Raise `LogTruncated` when the database is beyond the partition's end offset `log_end`."""
    if next_offset > log_end:
        raise LogTruncated(
            f"The database has {topic}[{partition}] up to offset {next_offset}, but the topic "
            f"ends at {log_end}: it was made anew or lost its end, and what is written to it now "
            "would be dropped as old. Use a new database, or delete this topic's rows from "
            "consumer_offsets to read the topic from its start (rows that are there stay)."
        )


def positions(
    connection: Connection, app: str, topic: str, partitions: Collection[int]
) -> dict[int, int | None]:
    """Return the next offset of each partition, None where there is no row."""
    rows = connection.execute(
        select(col(ConsumerOffsetRow.partition), col(ConsumerOffsetRow.next_offset)).where(
            col(ConsumerOffsetRow.app) == app,
            col(ConsumerOffsetRow.topic) == topic,
            col(ConsumerOffsetRow.partition).in_(partitions),
        )
    )
    found = {row.partition: row.next_offset for row in rows}
    return {partition: found.get(partition) for partition in partitions}


def assign(connection: Connection, place: Place) -> int:
    """Make the row when it is not there, at offset 0; return its next offset."""
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert
    row = {**place._asdict(), "next_offset": 0, "updated_at": now_utc()}
    connection.execute(insert(ConsumerOffsetRow).values(row).on_conflict_do_nothing())
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
    next_offset, cluster_id = found
    if cluster_id != place.cluster_id:
        raise ClusterMismatch(
            f"The database holds {place.topic}[{place.partition}] of the Kafka cluster "
            f"{cluster_id}, and this is the cluster {place.cluster_id}: its events would be "
            "dropped as old. Use a new database, or point headrace at the old cluster; to add "
            "this cluster's events to what is there, delete the rows of consumer_offsets."
        )
    return int(next_offset)


def advance(connection: Connection, place: Place, next_offset: int) -> None:
    """Set the row's next offset; the caller holds its lock and never goes back."""
    changes = {"next_offset": next_offset, "updated_at": now_utc()}
    connection.execute(_ADVANCE, _named(place) | changes)


def _named(place: Place) -> dict[str, Any]:
    return {"of_app": place.app, "of_topic": place.topic, "of_partition": place.partition}
