"""The status of the database: rows per table, and the sinks' last commits."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, select, text

from headrace.ops.status.model import TableCount
from schemas.settings import DatabaseSettings
from sinks.app import APP_ID as SINKS
from sinks.sql.reader import open_reader
from sinks.sql.tables import ConsumerOffsetRow, table_of
from streams.engine.cluster import Cluster

_TABLES = ("events", "sessions", "page_durations", "alerts")
#: Larger tables are estimated instead of counted.
_MAX_COUNTED_ROWS = 100_000


class DatabaseStatus(NamedTuple):
    """Rows per table, the time of the last commit per topic, and the clusters of the offsets."""

    tables: list[TableCount]
    commits: dict[str, datetime]
    clusters: set[Cluster]


async def read_status(database: DatabaseSettings) -> DatabaseStatus:
    """Read the status without blocking writers; raises errors of the driver."""
    reader = open_reader(database.url)
    try:
        return await reader.run(_read)
    finally:
        await reader.close()


def _read(connection: Connection) -> DatabaseStatus:
    tables = [_count(connection, table) for table in _TABLES]
    offsets = table_of(ConsumerOffsetRow).c
    commits = select(offsets.topic, func.max(offsets.updated_at)).group_by(offsets.topic)
    clusters = select(offsets.cluster_id, offsets.kafka_epoch).where(offsets.app == SINKS)
    return DatabaseStatus(
        tables,
        {row.topic: row[1] for row in connection.execute(commits)},
        {Cluster(*row) for row in connection.execute(clusters.distinct())},
    )


def _count(connection: Connection, table: str) -> TableCount:
    """Count the rows of a table up to `_MAX_COUNTED_ROWS`; estimate those of larger tables."""
    rows = 0
    if connection.dialect.name == "postgresql":
        # The planner's estimate, which also exists for tables that were never analyzed.
        explain = text(f"EXPLAIN (FORMAT JSON) SELECT 1 FROM {table}")  # noqa: S608 - a name of ours
        plan = connection.execute(explain).scalar_one()
        rows = int(plan[0]["Plan"]["Plan Rows"])
    if rows <= _MAX_COUNTED_ROWS:
        first_rows = f"SELECT 1 FROM {table} LIMIT {_MAX_COUNTED_ROWS + 1}"  # noqa: S608 - a name of ours
        counting = f"SELECT count(*) FROM ({first_rows}) AS first_rows"  # noqa: S608 - as above
        counted = connection.execute(text(counting)).scalar_one()
        if counted <= _MAX_COUNTED_ROWS:
            return TableCount(table=table, rows=int(counted), estimated=False)
        rows = max(rows, int(counted))
    if connection.dialect.name == "sqlite":
        # The highest row id is close to the number of rows, because rows are rarely deleted.
        rows = connection.execute(text(f"SELECT max(rowid) FROM {table}")).scalar_one()  # noqa: S608
    return TableCount(table=table, rows=int(rows), estimated=True)
