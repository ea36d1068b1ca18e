"""The time on page that `events` make, beside that of the table `page_durations`."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    Text,
    and_,
    false,
    func,
    or_,
    select,
    tuple_,
    type_coerce,
)

from infra.audit.difference import (
    MISSING,
    NOT_FROM_EVENTS,
    Findings,
    first_difference,
    merge,
    micros,
    moment,
    neutral,
)
from infra.audit.scope import Key, Scope, bytewise
from infra.audit.snapshot import Snapshot, source_of
from schemas import sketch
from schemas.records import PageDuration
from sinks.sql.tables import EventRow, PageDurationRow, table_of
from streams.domain import durations
from streams.domain.durations import OTHER_PATHS, Leave, Page

COLUMNS = tuple(table_of(PageDurationRow).columns.keys())

_HOUR_US = 3_600_000_000
#: Leaves in memory before they are added to their pages.
_AT_ONCE = 5_000
#: Stands for all paths of an hour that had too many to keep apart.
_ALL_PATHS = "(all paths)"

SqlRow = tuple[Any, ...]
#: A site's hour, what its page leaves come to, and its rows.
Joined = tuple[Key, list[PageDuration] | None, list[SqlRow] | None]


class _Sum(NamedTuple):
    """What is compared of a page's hour, over partitions and generations."""

    leaves: int
    total_ms: int
    min_ms: int
    max_ms: int
    sketch: bytes


def joined(snapshot: Snapshot, scope: Scope, until_ms: Callable[[int], int]) -> Iterator[Joined]:
    """Yield each site's hour with what its page leaves come to, and its rows.

    `until_ms` is the stream time that a partition has come to: no log time is later.
    """
    leaves = snapshot.rows(_leaves_query(snapshot, scope), counted=True)
    found = snapshot.rows(_durations_query(snapshot, scope))
    return merge(_folded(leaves, until_ms), _gathered(found))


def compare(snapshot: Snapshot, scope: Scope, until_ms: Callable[[int], int]) -> Findings:
    """Compare `page_durations` with `events`, page by page, summed over partitions.

    Which paths of an hour with too many were counted together depends on when states were
    deleted; then the hour is compared as a whole.
    """
    findings = Findings("page_durations")
    for key, pages, rows in joined(snapshot, scope, until_ms):
        is_overfull = any(page.path == OTHER_PATHS for page in pages or ())
        wanted = _sums(
            (_ALL_PATHS if is_overfull else page.path, _Sum(*_numbers_of(page)))
            for page in pages or ()
        )
        named = (dict(zip(COLUMNS, row, strict=True)) for row in rows or ())
        has = _sums(
            (
                _ALL_PATHS if is_overfull else row["path"],
                _Sum(*(row[name] for name in _Sum._fields)),
            )
            for row in named
        )
        for path in sorted(wanted.keys() | has.keys()):
            name = f"{key[0]} {moment(int(key[1])):%Y-%m-%dT%HZ} {path}"
            findings.add(key, name, _difference(wanted.get(path), has.get(path)))
    return findings


def fold(site_id: str, leaves: Iterable[tuple[int, str, Leave]]) -> list[PageDuration]:
    """Add up the leaves of one site, hour and partition, in the order of their offsets.

    A leave is the hour, the path and what was left.
    """
    states: dict[Page, PageDuration] = {}
    waiting: defaultdict[Page, list[Leave]] = defaultdict(list)
    known: set[Page] = set()
    kept_apart = 0
    for count, (hour, path, leave) in enumerate(leaves, 1):
        page = Page(site_id, hour, path)
        page = durations.bounded(page, is_known=page in known, paths=kept_apart)
        if page not in known:
            known.add(page)
            kept_apart += page.path != OTHER_PATHS
        waiting[page].append(leave)
        if count % _AT_ONCE == 0:
            _add(states, waiting)
    _add(states, waiting)
    return list(states.values())


def _add(states: dict[Page, PageDuration], waiting: defaultdict[Page, list[Leave]]) -> None:
    for page, leaves in waiting.items():
        states[page] = durations.add(states.get(page), page, leaves)
    waiting.clear()


def _folded(
    rows: Iterable[Row[Any]], until_ms: Callable[[int], int]
) -> Iterator[tuple[Key, list[PageDuration]]]:
    for key, of_hour in groupby(rows, key=lambda row: (row.site_id, _hour(row))):
        pages: list[PageDuration] = []
        for partition, some in groupby(of_hour, key=lambda row: int(row.kafka_partition)):
            until = until_ms(partition)
            pages += fold(key[0], ((key[1], row.path, _leave(row, until)) for row in some))
        yield key, pages


def _gathered(rows: Iterable[Row[Any]]) -> Iterator[tuple[Key, list[SqlRow]]]:
    for key, of_hour in groupby(rows, key=lambda row: (row.site_id, micros(row.hour))):
        yield key, [neutral(row) for row in of_hour]


def _hour(row: Row[Any]) -> int:
    at = micros(row.event_ts)
    return at - at % _HOUR_US


def _leave(row: Row[Any], until_ms: int) -> Leave:
    return Leave(row.duration_ms, source_of(row, until_ms))


def _numbers_of(page: PageDuration) -> Sequence[Any]:
    return [getattr(page, name) for name in _Sum._fields]


def _sums(parts: Iterable[tuple[str, _Sum]]) -> dict[str, _Sum]:
    by_path: defaultdict[str, list[_Sum]] = defaultdict(list)
    for path, part in parts:
        by_path[path].append(part)
    return {path: _sum(some) for path, some in by_path.items()}


def _sum(parts: Sequence[_Sum]) -> _Sum:
    return _Sum(
        sum(part.leaves for part in parts),
        sum(part.total_ms for part in parts),
        min(part.min_ms for part in parts),
        max(part.max_ms for part in parts),
        _merged([part.sketch for part in parts]),
    )


def _merged(sketches: Sequence[bytes]) -> bytes:
    try:
        return sketch.merge(sketches)
    except (msgspec.MsgspecError, ValueError):  # bytes that are no sketch differ from every one
        return b"".join(sketches)


def _difference(wanted: _Sum | None, has: _Sum | None) -> str | None:
    if has is None:
        return MISSING
    if wanted is None:
        return NOT_FROM_EVENTS
    return first_difference(_Sum._fields, wanted, has)


def _leaves_query(snapshot: Snapshot, scope: Scope) -> Select[Any]:
    table = table_of(EventRow)
    names = ("site_id", "event_ts", "path", "duration_ms", "received_at")
    query = select(
        *(table.columns[name] for name in (*names, "kafka_partition", "kafka_offset"))
    ).where(table.c.type == "pageleave", table.c.duration_ms >= 0)
    at = table.c.event_ts
    if scope.site is not None:
        query = query.where(table.c.site_id == scope.site)
    if scope.since is not None:
        query = query.where(at >= scope.since)
    if scope.keys is not None:
        query = query.where(or_(false(), *(_is_in(table, *key) for key in scope.keys)))
    if snapshot.connection.dialect.name == "postgresql":
        hour = func.date_trunc("hour", at, "UTC")
    else:
        hour = func.substr(type_coerce(at, Text), 1, len("2026-01-31T12"))
    site = bytewise(snapshot.connection, table.c.site_id)
    return query.order_by(site, hour, table.c.kafka_partition, table.c.kafka_offset)


def _is_in(table: Any, site_id: Any, hour: Any) -> ColumnElement[bool]:
    end = moment(hour + _HOUR_US)
    return and_(
        table.c.site_id == site_id, table.c.event_ts >= moment(hour), table.c.event_ts < end
    )


def _durations_query(snapshot: Snapshot, scope: Scope) -> Select[Any]:
    table = table_of(PageDurationRow)
    query = select(table)
    if scope.site is not None:
        query = query.where(table.c.site_id == scope.site)
    if scope.since is not None:
        query = query.where(table.c.hour >= scope.since)
    if scope.keys is not None:
        hours = [(site, moment(int(hour))) for site, hour in scope.keys]
        query = query.where(tuple_(table.c.site_id, table.c.hour).in_(hours))
    return query.order_by(bytewise(snapshot.connection, table.c.site_id), table.c.hour)
