"""The time on page that `events` make, beside that of the table `page_durations`."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec
from msgspec.structs import asdict, replace
from sqlalchemy import Row, Select, Text, and_, false, func, or_, select, tuple_, type_coerce

from infra.audit.difference import Findings, SqlRow, difference, merge, rows_by_key
from infra.audit.scope import Key, Scope
from infra.audit.snapshot import PLACE, Snapshot, source_of
from schemas import sketch
from schemas.batched import batched
from schemas.paths import path_of
from schemas.records import PageDuration
from sinks.sql.tables import EventRow, PageDurationRow, table_of
from sinks.sql.types import from_micros, micros
from streams.domain import durations
from streams.domain.candidate_paths import CandidatePaths
from streams.domain.durations import OTHER_PATHS, Leave, Page

_EVENTS, _DURATIONS = table_of(EventRow), table_of(PageDurationRow)
_COLUMNS = tuple(_DURATIONS.columns.keys())
_KEY = tuple(map(_COLUMNS.index, ("site_id", "hour")))
_EVENT_COLUMNS = (
    *("site_id", "session_id", "event_ts", "path", "url", "duration_ms", "received_at"),
    *PLACE,
)

_HOUR_US = 3_600_000_000
#: Leaves that are added to their pages at a time.
_AT_ONCE = 5_000
#: Stands for all paths of an hour that had too many to keep apart.
_ALL_PATHS = "(all paths)"

#: A site's hour, the result of its page leaves, and its rows.
Joined = tuple[Key, list[PageDuration] | None, list[SqlRow] | None]


def joined(snapshot: Snapshot, scope: Scope) -> Iterator[Joined]:
    """Yield each site's hour with the result of its page leaves, and its rows."""
    leaves = snapshot.rows(_leaves_query(snapshot, scope), counted=True)
    found = snapshot.rows(_durations_query(scope))
    return merge(_folded(leaves), rows_by_key(found, *_KEY))


def compare(snapshot: Snapshot, scope: Scope) -> Findings:
    """Compare `page_durations` with `events`, page by page, summed over partitions.

    Which paths of an hour with too many were counted together depends on when states were
    deleted; then the hour is compared as a whole.
    """
    findings = Findings("page_durations")
    for key, pages, rows in joined(snapshot, scope):
        is_overfull = any(page.path == OTHER_PATHS for page in pages or ())
        wanted = _sums(map(asdict, pages or ()), is_overfull=is_overfull)
        named = (dict(zip(_COLUMNS, row, strict=True)) for row in rows or ())
        has = _sums(named, is_overfull=is_overfull)
        for path in sorted(wanted.keys() | has.keys()):
            name = f"{key[0]} {from_micros(int(key[1])):%Y-%m-%dT%HZ} {path}"
            names = wanted.get(path, ())
            findings.add(key, name, difference(names, wanted.get(path), has.get(path)))
    return findings


def fold(site_id: str, hour: int, leaves: Iterable[tuple[str, str, Leave]]) -> list[PageDuration]:
    """Add up the leaves of one site, hour and partition, in the order of their offsets.

    A leave is the path, the session and what was left.
    """
    candidates = CandidatePaths()
    states: dict[Page, PageDuration] = {}
    known: set[Page] = set()
    kept_apart = 0
    for some in batched(leaves, _AT_ONCE):
        by_page: defaultdict[Page, list[Leave]] = defaultdict(list)
        for path, session_id, leave in some:
            page = Page(site_id, hour, path)
            if page not in known:
                page = durations.bounded(page, session_id, kept_apart, lambda: candidates)
                kept_apart += page not in known and page.path != OTHER_PATHS
                known.add(page)
            by_page[page].append(leave)
        for page, of_page in by_page.items():
            states[page] = durations.add(states.get(page), page, of_page)
    return [
        replace(state, candidates=candidates.packed())
        if state.path == OTHER_PATHS and kept_apart >= durations.MAX_PATHS
        else state
        for state in states.values()
    ]


def _folded(rows: Iterable[Row[Any]]) -> Iterator[tuple[Key, list[PageDuration]]]:
    for (site_id, hour), of_hour in groupby(rows, key=lambda row: (row.site_id, _hour(row))):
        pages: list[PageDuration] = []
        for _, some in groupby(of_hour, key=lambda row: row.kafka_partition):
            pages += fold(site_id, hour, map(_leave, some))
        yield (site_id, hour), pages


def _leave(row: Row[Any]) -> tuple[str, str, Leave]:
    path = path_of(row.path, row.url)
    return path, row.session_id, Leave(row.duration_ms, source_of(row))


def _hour(row: Row[Any]) -> int:
    at = micros(row.event_ts)
    return at - at % _HOUR_US


def _sums(parts: Iterable[Mapping[str, Any]], *, is_overfull: bool) -> dict[str, dict[str, Any]]:
    """Return what is compared of each path, over partitions and generations."""
    by_path: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for part in parts:
        by_path[_ALL_PATHS if is_overfull else part["path"]].append(part)
    return {
        path: {
            "leaves": sum(part["leaves"] for part in some),
            "total_ms": sum(part["total_ms"] for part in some),
            "min_ms": min(part["min_ms"] for part in some),
            "max_ms": max(part["max_ms"] for part in some),
            "sketch": _merged([part["sketch"] for part in some]),
        }
        for path, some in by_path.items()
    }


def _merged(sketches: Sequence[bytes]) -> bytes:
    try:
        return sketch.merge(sketches)
    except (msgspec.MsgspecError, ValueError):  # bytes that are no sketch differ from every one
        return b"".join(sketches)


def _leaves_query(snapshot: Snapshot, scope: Scope) -> Select[Any]:
    at = _EVENTS.c.event_ts
    query = select(*(_EVENTS.columns[name] for name in _EVENT_COLUMNS))
    query = scope.of_sites(query, _EVENTS).where(
        _EVENTS.c.type == "pageleave", _EVENTS.c.duration_ms >= 0
    )
    if scope.since is not None:
        query = query.where(at >= scope.since)
    if scope.keys is not None:
        # Inclusive: what follows the last hour of the year 9999 is no time.
        hours = (
            and_(
                _EVENTS.c.site_id == site_id,
                at.between(from_micros(int(hour)), from_micros(int(hour) + _HOUR_US - 1)),
            )
            for site_id, hour in scope.keys
        )
        query = query.where(or_(false(), *hours))
    if snapshot.connection.dialect.name == "postgresql":
        hour = func.date_trunc("hour", at, "UTC")
    else:
        hour = func.substr(type_coerce(at, Text), 1, len("2026-01-31T12"))
    return query.order_by(_EVENTS.c.site_id, hour, *(_EVENTS.columns[name] for name in PLACE))


def _durations_query(scope: Scope) -> Select[Any]:
    site, hour = _DURATIONS.c.site_id, _DURATIONS.c.hour
    query = scope.of_sites(select(_DURATIONS), _DURATIONS).order_by(site, hour)
    if scope.since is not None:
        query = query.where(hour >= scope.since)
    if scope.keys is not None:
        hours = [(site_id, from_micros(int(at))) for site_id, at in scope.keys]
        query = query.where(tuple_(site, hour).in_(hours))
    return query
