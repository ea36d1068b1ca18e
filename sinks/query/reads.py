"""The lists, as functions of a connection, for `Database.run`.

All values are bound parameters, and each list has one order of its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, RowMapping, Select, and_, func, or_, select

from schemas import sketch
from schemas.alert_rules import PAYMENT
from sinks.query.lists import Asked, cursor_of, iso
from sinks.sql.tables import (
    AlertRow,
    AlertSequenceRow,
    PageDurationRow,
    SessionRow,
    table_of,
)

Item = dict[str, Any]

ALERT_KEY = (int,)
SESSION_KEY = (datetime, UUID)
PAGE_KEY = (datetime, str)

_ALERTS = table_of(AlertRow)
_SESSIONS = table_of(SessionRow)
_PAGES = table_of(PageDurationRow)
_SEQUENCE = table_of(AlertSequenceRow)

_ALERT_COLUMNS = tuple(
    _ALERTS.c[name]
    for name in (
        "alert_id",
        "site_id",
        "rule",
        "subject",
        "title",
        "details",
        "event_id",
        "raised_at",
        "seq",
    )
)

#: Every payment is an alert of its site. That subscriptions with an amount or a currency have one
#: of their own beside it is their matter: the site's list would tell the same payment again.
_IS_SITES = or_(_ALERTS.c.subscription_id.is_(None), _ALERTS.c.rule != PAYMENT)


class Page(NamedTuple):
    """Some rows of a list; `next_cursor` is None behind the last."""

    items: list[Item]
    next_cursor: str | None


def alerts(connection: Connection, site_id: str, asked: Asked, rule: str | None) -> Page:
    """Return a site's alerts, the newest first."""
    query = select(*_ALERT_COLUMNS).where(_ALERTS.c.site_id == site_id, _IS_SITES)
    if rule is not None:
        query = query.where(_ALERTS.c.rule == rule)
    query = _within(query, _ALERTS.c.raised_at, asked)
    if asked.after is not None:
        query = query.where(_ALERTS.c.seq < asked.after[0])
    return _page(connection, query.order_by(_ALERTS.c.seq.desc()), asked, ("seq",))


def alerts_after(
    connection: Connection, site_id: str, seq: int, until: int, limit: int
) -> list[Item]:
    """Return a site's alerts above `seq` up to `until`, the oldest first."""
    query = (
        select(*_ALERT_COLUMNS)
        .where(_ALERTS.c.site_id == site_id, _ALERTS.c.seq > seq, _ALERTS.c.seq <= until)
        .where(_IS_SITES)
        .order_by(_ALERTS.c.seq)
        .limit(limit)
    )
    return [_item(row) for row in connection.execute(query).mappings()]


def last_seq(connection: Connection) -> int:
    """Return the number of the newest alert that can be seen; all up to it are there."""
    return connection.execute(select(func.max(_SEQUENCE.c.last_seq))).scalar() or 0


def sessions(connection: Connection, site_id: str, asked: Asked, state: str | None) -> Page:
    """Return a site's visits, those that began last first."""
    query = select(_SESSIONS).where(_SESSIONS.c.site_id == site_id)
    if state is not None:
        query = query.where(_SESSIONS.c.state == state)
    query = _within(query, _SESSIONS.c.started_at, asked)
    if asked.after is not None:
        (began, visit_id) = asked.after
        query = query.where(
            _SESSIONS.c.started_at <= began,
            or_(_SESSIONS.c.started_at < began, _SESSIONS.c.visit_id < visit_id),
        )
    order = (_SESSIONS.c.started_at.desc(), _SESSIONS.c.visit_id.desc())
    return _page(connection, query.order_by(*order), asked, ("started_at", "visit_id"))


def pages(connection: Connection, site_id: str, asked: Asked) -> Page:
    """Return time on a site's pages by hour and path, the newest hour first.

    Each is the sum over partitions and generations; medians are of their merged sketches.
    """
    (hour, path) = (_PAGES.c.hour, _PAGES.c.path)
    query: Select[Any] = select(
        *(_PAGES.c.site_id, hour, path),
        func.sum(_PAGES.c.leaves).label("leaves"),
        func.sum(_PAGES.c.total_ms).label("total_ms"),
        func.min(_PAGES.c.min_ms).label("min_ms"),
        func.max(_PAGES.c.max_ms).label("max_ms"),
    ).where(_PAGES.c.site_id == site_id)
    query = _within(query, hour, asked)
    if asked.after is not None:
        (last_hour, last_path) = asked.after
        query = query.where(hour <= last_hour, or_(hour < last_hour, path > last_path))
    query = query.group_by(_PAGES.c.site_id, hour, path).order_by(hour.desc(), path)
    (items, next_cursor) = _page(connection, query, asked, ("hour", "path"))
    sketches = _sketches(connection, site_id, items)
    return Page(
        [_with_times(item, sketches[item["hour"], item["path"]]) for item in items], next_cursor
    )


def sites(connection: Connection, most: int, after: str = "") -> list[str]:
    """Return sites that have sessions, by name, from behind `after`: a step of the index each."""
    found: list[str] = []
    last = after
    while len(found) < most:
        query = select(func.min(_SESSIONS.c.site_id)).where(_SESSIONS.c.site_id > last)
        last = connection.execute(query).scalar() or ""
        if not last:
            break
        found.append(last)
    return found


def _within(query: Select[Any], column: Any, asked: Asked) -> Select[Any]:
    """Bound a time: `from` is included, `to` is not."""
    since = [] if asked.since is None else [column >= asked.since]
    until = [] if asked.until is None else [column < asked.until]
    return query.where(*since, *until)


def _page(connection: Connection, query: Select[Any], asked: Asked, key: Sequence[str]) -> Page:
    rows = connection.execute(query.limit(asked.limit + 1)).mappings().all()
    shown = rows[: asked.limit]
    more = len(rows) > len(shown)
    items = [_item(row) for row in shown]
    return Page(items, cursor_of([items[-1][name] for name in key]) if more else None)


def _item(row: RowMapping) -> Item:
    return {
        name: iso(value) if isinstance(value, datetime) else value for name, value in row.items()
    }


def _sketches(
    connection: Connection, site_id: str, items: Iterable[Mapping[str, Any]]
) -> Mapping[tuple[str, str], list[bytes]]:
    paths: dict[str, set[str]] = defaultdict(set)
    for item in items:
        paths[item["hour"]].add(item["path"])
    found: dict[tuple[str, str], list[bytes]] = defaultdict(list)
    for hour, wanted in paths.items():
        query = select(_PAGES.c.path, _PAGES.c.sketch).where(
            _PAGES.c.site_id == site_id,
            and_(_PAGES.c.hour == datetime.fromisoformat(hour), _PAGES.c.path.in_(wanted)),
        )
        for row in connection.execute(query):
            found[hour, row.path].append(row.sketch)
    return found


def _with_times(item: Item, sketches: Iterable[bytes]) -> Item:
    merged = sketch.merge(sketches)
    (leaves, total_ms) = (int(item["leaves"]), int(item["total_ms"]))
    return {
        **item,
        "leaves": leaves,
        "total_ms": total_ms,
        "avg_ms": total_ms / leaves if leaves else None,
        "p50_ms": _rounded(sketch.quantile(merged, 0.5)),
        "p90_ms": _rounded(sketch.quantile(merged, 0.9)),
    }


def _rounded(milliseconds: float | None) -> int | None:
    return None if milliseconds is None else round(milliseconds)
