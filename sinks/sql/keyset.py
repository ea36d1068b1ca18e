"""Keyset pagination: the rows of a list after the key of the last row that was shown."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, tuple_

#: A list's key: a time, and what tells rows of one time apart.
Key = tuple[datetime, Any]


def newest_first(
    query: Select[Any],
    columns: tuple[ColumnElement[Any], ColumnElement[Any]],
    after: Key | None,
    since: datetime | None,
    until: datetime | None,
) -> Select[Any]:
    """Return the query for the rows below the key `after`, from `since` up to `until` exclusive.

    They come by the key, descending. `columns` must follow columns of equality in an index: then
    the rows are one range of it. SQLite searches by one upper bound only, hence the lower one.
    """
    (time, _) = columns
    if since is not None:
        query = query.where(time >= since)
    if after is not None and (until is None or after[0] < until):
        query = query.where(tuple_(*columns) < after)
    elif until is not None:
        query = query.where(time < until)
    return query.order_by(*(column.desc() for column in columns))
