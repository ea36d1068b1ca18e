"""Keyset pagination: select the rows of a list after the key of the previous page's last row."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, Table, text, tuple_

from sinks.paging import Slice


def newest_first(
    query: Select[Any], columns: tuple[ColumnElement[Any], ColumnElement[Any]], part: Slice
) -> Select[Any]:
    """Limit a query to the rows of a slice, and one more, in descending order by `columns`.

    `columns` are the sort key of the list: a time and a tiebreaker. The rows are one index range if
    they follow the columns of the query's equality conditions in an index. SQLite uses a single
    upper bound of an index, so only the lower of `after` and `until` is added. One more row than
    the limit shows that there is another page.
    """
    (limit, after, since, until) = part
    (time, _) = columns
    if since is not None:
        query = query.where(time >= since)
    if after is not None and (until is None or after[0] < until):
        query = query.where(tuple_(*columns) < after)
    elif until is not None:
        query = query.where(time < until)
    return query.order_by(*(column.desc() for column in columns)).limit(limit + 1)


def indexed_by(connection: Connection, table: Table, index: str) -> FromClause:
    """Return a table that SQLite reads by the given index only; on PostgreSQL, the table itself.

    Of two indexes that begin with the same column, SQLite's planner may prefer the one without the
    column of a filter, depending on its version and statistics, and read all rows of a site. A
    query that cannot use the index is an error.
    """
    if connection.dialect.name != "sqlite":
        return table
    indexed = text(f"SELECT * FROM {table.name} INDEXED BY {index}")  # noqa: S608 - no input
    return indexed.columns(*table.c).subquery(table.name)
