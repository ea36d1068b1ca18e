"""The queries of lists, as functions of a connection for `Database.run`.

Each scans an index range of about the size of a page, regardless of the rows of the site (ADR 39).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    RowMapping,
    Select,
    and_,
    func,
    literal,
    or_,
    select,
    true,
)

from query_api.models import Alert
from schemas import sketch
from sinks.paging import Page, Slice, iso, item_of, page_of
from sinks.sql.keyset import indexed_by, newest_first
from sinks.sql.tables import (
    LISTED_ALERTS,
    AlertRow,
    AlertSequenceRow,
    PageDurationRow,
    SessionRow,
    table_of,
)

Item = dict[str, Any]

ALERT_KEY = (datetime, int)
SESSION_KEY = (datetime, UUID)
PAGE_KEY = (datetime, str)

_ALERTS = table_of(AlertRow)
_SESSIONS = table_of(SessionRow)
_PAGES = table_of(PageDurationRow)
_SEQUENCE = table_of(AlertSequenceRow)


def alerts(connection: Connection, site_id: str, part: Slice, rule: str | None) -> Page:
    """Return the alerts of a site, newest first, without duplicates.

    Duplicates are alerts of subscriptions with an amount or a currency: a payment has its own one.
    """
    index = "ix_alerts_site_id_raised_at" if rule is None else "ix_alerts_site_id_rule"
    table = indexed_by(connection, _ALERTS, index)
    query = _select_alerts(table).where(table.c.site_id == site_id)
    if rule is not None:
        query = query.where(table.c.rule == rule)
    return _page(connection, query, part, (table.c.raised_at, table.c.seq))


def alerts_after(
    connection: Connection, site_id: str, seq: int, until: int, limit: int
) -> list[Item]:
    """Return a site's alerts after `seq` up to `until`, oldest first."""
    query = (
        _select_alerts(_ALERTS)
        .where(_ALERTS.c.site_id == site_id, _ALERTS.c.seq > seq, _ALERTS.c.seq <= until)
        .order_by(_ALERTS.c.seq)
        .limit(limit)
    )
    return [item_of(row) for row in connection.execute(query).mappings()]


def last_seq(connection: Connection) -> int:
    """Return the `seq` of the newest visible alert. All earlier alerts are visible as well."""
    return connection.execute(select(func.max(_SEQUENCE.c.last_seq))).scalar() or 0


def sessions(connection: Connection, site_id: str, part: Slice, state: str | None) -> Page:
    """Return a site's visits by start time, newest first."""
    index = "ix_sessions_site_id_started_at" if state is None else "ix_sessions_site_id_state"
    table = indexed_by(connection, _SESSIONS, index)
    query = select(table).where(table.c.site_id == site_id)
    if state is not None:
        query = query.where(table.c.state == state)
    return _page(connection, query, part, (table.c.started_at, table.c.visit_id))


def pages(connection: Connection, site_id: str, part: Slice) -> Page:
    """Return time on a site's pages by hour and path, newest hour first.

    Rows of all partitions and generations are summed; quantiles are those of the merged sketches.
    """
    (hour, path) = (_PAGES.c.hour, _PAGES.c.path)
    query: Select[Any] = select(
        *(_PAGES.c.site_id, hour, path),
        func.sum(_PAGES.c.leaves).label("leaves"),
        func.sum(_PAGES.c.total_ms).label("total_ms"),
        func.min(_PAGES.c.min_ms).label("min_ms"),
        func.max(_PAGES.c.max_ms).label("max_ms"),
        func.min(_PAGES.c.path_hash).label("path_hash"),
    ).where(_PAGES.c.site_id == site_id)
    if part.after is not None:
        (last_hour, last_path) = part.after
        query = query.where(or_(hour < last_hour, path > last_path))
    query = query.group_by(_PAGES.c.site_id, hour, path).order_by(hour.desc(), path)
    rows: list[RowMapping] = []
    for hours in _hour_ranges(connection, site_id, part):
        result = connection.execute(query.where(hours).limit(part.limit + 1 - len(rows)))
        rows += result.mappings()
        if len(rows) > part.limit:
            break
    (items, next_cursor) = page_of([*map(item_of, rows)], part.limit, ("hour", "path"))
    hashes = {item.pop("path_hash") for item in items}
    sketches = _sketches(connection, site_id, items, hashes)
    return Page(
        [_with_quantiles(item, sketches[item["hour"], item["path"]]) for item in items], next_cursor
    )


def sites(connection: Connection, limit: int, after: str = "") -> list[str]:
    """Return sites with sessions, ordered by name, after `after`. Uses a loose index scan."""
    site_id = _SESSIONS.c.site_id
    first = select(func.min(site_id).label("site_id"), literal(1).label("number"))
    steps = first.where(site_id > after).cte("steps", recursive=True)
    following = select(func.min(site_id)).where(site_id > steps.c.site_id).scalar_subquery()
    steps = steps.union_all(
        select(following, steps.c.number + 1).where(
            steps.c.site_id.is_not(None), steps.c.number < limit
        )
    )
    query = select(steps.c.site_id).where(steps.c.site_id.is_not(None)).order_by(steps.c.number)
    return list(connection.execute(query).scalars())


def _select_alerts(table: FromClause) -> Select[Any]:
    """Return a query of the listed alerts, with the columns of `Alert`."""
    return select(*(table.c[name] for name in Alert.model_fields)).where(LISTED_ALERTS)


def _hour_ranges(
    connection: Connection, site_id: str, part: Slice
) -> Iterator[ColumnElement[bool]]:
    """Yield conditions for consecutive ranges of whole hours, newest first, that cover the slice.

    The first range has about `part.limit` rows and each further one twice as many as the previous
    one, because an item can have a row for each partition and generation.
    """
    hour = _PAGES.c.hour
    since = true() if part.since is None else hour >= part.since
    upper: ColumnElement[bool] = true() if part.until is None else hour < part.until
    if part.after is not None and (part.until is None or part.after[0] < part.until):
        upper = hour <= part.after[0]
    count = part.limit
    lowest: datetime | None
    while True:
        query = select(hour).where(_PAGES.c.site_id == site_id, since, upper)
        query = query.order_by(hour.desc()).offset(count).limit(1)
        lowest = connection.execute(query).scalar()
        if lowest is None:
            yield and_(since, upper)
            return
        yield and_(hour >= lowest, upper)
        upper = hour < lowest
        count *= 2


def _page(
    connection: Connection,
    query: Select[Any],
    part: Slice,
    columns: tuple[ColumnElement[Any], ColumnElement[Any]],
) -> Page:
    rows = connection.execute(newest_first(query, columns, part)).mappings().all()
    return page_of([*map(item_of, rows)], part.limit, [str(column.key) for column in columns])


def _sketches(
    connection: Connection, site_id: str, items: Sequence[Item], hashes: Iterable[int]
) -> Mapping[tuple[str, str], list[bytes]]:
    """Return the sketches of the items, and possibly others, by hour and path."""
    sketches: dict[tuple[str, str], list[bytes]] = defaultdict(list)
    if not items:
        return sketches
    (first, last) = (datetime.fromisoformat(items[at]["hour"]) for at in (-1, 0))
    query = select(_PAGES.c.hour, _PAGES.c.path, _PAGES.c.sketch).where(
        _PAGES.c.site_id == site_id,
        _PAGES.c.hour.between(first, last),
        _PAGES.c.path_hash.in_(hashes),
    )
    for row in connection.execute(query):
        sketches[iso(row.hour), row.path].append(row.sketch)
    return sketches


def _with_quantiles(item: Item, sketches: Iterable[bytes]) -> Item:
    merged = sketch.merge(sketches)
    (leaves, total_ms) = (int(item["leaves"]), int(item["total_ms"]))
    (minimum, maximum) = (item["min_ms"], item["max_ms"])
    return {
        **item,
        "leaves": leaves,
        "total_ms": total_ms,
        "avg_ms": total_ms / leaves if leaves else None,
        "p50_ms": sketch.quantile_within(merged, 0.5, minimum, maximum),
        "p90_ms": sketch.quantile_within(merged, 0.9, minimum, maximum),
    }
