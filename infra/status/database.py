"""What the database tells: rows of each table, and when the sinks committed last."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, select, text
from sqlmodel import SQLModel, col

from infra.status.model import TableCount
from schemas.settings import DatabaseSettings
from sinks.sql.reader import open_reader
from sinks.sql.tables import AlertRow, ConsumerOffsetRow, EventRow, PageDurationRow, SessionRow

_TABLES: tuple[type[SQLModel], ...] = (EventRow, SessionRow, PageDurationRow, AlertRow)
#: Tables of so many rows are not counted, but estimated.
_COUNTED_ROWS = 1_000_000


class DatabaseStatus(NamedTuple):
    """Rows of each table, and for each topic when its offset moved last."""

    tables: list[TableCount]
    commits: dict[str, datetime]


async def look(database: DatabaseSettings) -> DatabaseStatus:
    """Read it, beside who writes; raises what the driver raises."""
    opened = open_reader(database.url)
    try:
        return await opened.run(_read)
    finally:
        await opened.close()


def _read(connection: Connection) -> DatabaseStatus:
    tables = [_count(connection, str(model.__tablename__)) for model in _TABLES]
    rows = connection.execute(
        select(col(ConsumerOffsetRow.topic), func.max(col(ConsumerOffsetRow.updated_at))).group_by(
            col(ConsumerOffsetRow.topic)
        )
    )
    return DatabaseStatus(tables, {row[0]: row[1] for row in rows})


def _count(connection: Connection, table: str) -> TableCount:
    # The highest row number, where rows are seldom deleted; the planner's own estimate.
    estimate = text(
        f"SELECT max(rowid) FROM {table}"  # noqa: S608 - a name of ours
        if connection.dialect.name == "sqlite"
        else f"SELECT reltuples FROM pg_class WHERE oid = '{table}'::regclass"  # noqa: S608
    )
    rows = int(connection.execute(estimate).scalar() or 0)
    if rows > _COUNTED_ROWS:
        return TableCount(table=table, rows=rows, estimated=True)
    counted = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608
    return TableCount(table=table, rows=int(counted), estimated=False)
