"""Keyset pagination: select the rows of a list after the key of the previous page's last row."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, tuple_

#: The sort key of a list: a time and a tiebreaker.
Key = tuple[datetime, Any]


def newest_first(
    query: Select[Any],
    columns: tuple[ColumnElement[Any], ColumnElement[Any]],
    after: Key | None,
    since: datetime | None,
    until: datetime | None,
) -> Select[Any]:
    """Add conditions and a descending order by the key in `columns` to a query.

    Select the rows below the key `after`, with times from `since` (inclusive) to `until`
    (exclusive). They are one index range if `columns` follow the columns of the query's equality
    conditions in an index. SQLite uses a single upper bound of an index, so only the lower of
    `after` and `until` is added.
    """
    (time, _) = columns
    if since is not None:
        query = query.where(time >= since)
    if after is not None and (until is None or after[0] < until):
        query = query.where(tuple_(*columns) < after)
    elif until is not None:
        query = query.where(time < until)
    return query.order_by(*(column.desc() for column in columns))
