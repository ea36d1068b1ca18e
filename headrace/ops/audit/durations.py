"""Compare the table `page_durations` with the durations computed from `events`."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec
from msgspec.structs import asdict, replace
from sqlalchemy import Row, Select, Text, and_, false, func, or_, select, tuple_, type_coerce

from headrace.ops.audit.findings import Findings, SqlRow, difference, merge, rows_by_key
from headrace.ops.audit.scope import Key, Scope
from headrace.ops.audit.snapshot import POSITION_COLUMNS, Snapshot, source_of
from schemas import sketch
from schemas.batched import batched
from schemas.paths import path_of
from schemas.records import PageDuration
from sinks.sql.tables import ErasedHourRow, EventRow, PageDurationRow, table_of
from sinks.sql.types import from_micros, micros
from streams.domain.durations import rules
from streams.domain.durations.candidate_paths import CandidatePaths
from streams.domain.durations.rules import OTHER_PATHS, Leave, Page

_EVENTS, _DURATIONS = table_of(EventRow), table_of(PageDurationRow)
_ERASED = table_of(ErasedHourRow)
_COLUMNS = tuple(_DURATIONS.columns.keys())
_KEY = tuple(map(_COLUMNS.index, ("site_id", "hour")))
_EVENT_COLUMNS = (
    *("site_id", "session_id", "event_ts", "path", "url", "duration_ms", "received_at"),
    *POSITION_COLUMNS,
)

_HOUR_US = 3_600_000_000
#: Page leaves per batch.
_BATCH_SIZE = 5_000
#: Shown instead of a path if an hour has more paths than are aggregated separately.
_ALL_PATHS = "(all paths)"

#: A site and hour, its durations computed from page leaves, and its stored rows.
Joined = tuple[Key, list[PageDuration] | None, list[SqlRow] | None]


def joined(snapshot: Snapshot, scope: Scope) -> Iterator[Joined]:
    """Yield each site and hour with its computed durations and its stored rows."""
    leaves = snapshot.rows(_leaves_query(snapshot, scope), counted=True)
    found = snapshot.rows(_durations_query(scope))
    return merge(_computed(leaves), rows_by_key(found, *_KEY))


def compare(snapshot: Snapshot, scope: Scope) -> Findings:
    """Compare `page_durations` with `events` for each page, summed over partitions.

    An hour with too many paths is compared as a whole, because the time at which states were
    deleted determines which of the paths were aggregated separately.
    """
    findings = Findings("page_durations")
    complete_from = scope.complete_from()
    erased = erased_hours(snapshot)
    for key, pages, rows in joined(snapshot, scope):
        if int(key[1]) < complete_from or key in erased:
            continue
        has_other_paths = any(page.path == OTHER_PATHS for page in pages or ())
        expected = _sums(map(asdict, pages or ()), is_one_group=has_other_paths)
        named = (dict(zip(_COLUMNS, row, strict=True)) for row in rows or ())
        found = _sums(named, is_one_group=has_other_paths)
        for path in sorted(expected.keys() | found.keys()):
            name = f"{key[0]} {from_micros(int(key[1])):%Y-%m-%dT%HZ} {path}"
            columns = expected.get(path, ())
            findings.add(key, name, difference(columns, expected.get(path), found.get(path)))
    return findings


def erased_hours(snapshot: Snapshot) -> frozenset[Key]:
    """Return the sites and hours whose durations include erased page leaves (ADR 67)."""
    rows = snapshot.rows(select(_ERASED.c.site_id, _ERASED.c.hour))
    return frozenset((row.site_id, micros(row.hour)) for row in rows)


def compute(
    site_id: str, hour: int, leaves: Iterable[tuple[str, str, Leave]]
) -> list[PageDuration]:
    """Aggregate the page leaves of one site, hour and partition, ordered by offset.

    `leaves` are tuples of path, session id and leave.
    """
    candidates = CandidatePaths()
    states: dict[Page, PageDuration] = {}
    pages: set[Page] = set()
    separate_paths = 0
    for batch in batched(leaves, _BATCH_SIZE):
        by_page: defaultdict[Page, list[Leave]] = defaultdict(list)
        for path, session_id, leave in batch:
            page = Page(site_id, hour, path)
            if page not in pages:
                page = rules.bounded(page, session_id, separate_paths, lambda: candidates)
                separate_paths += page not in pages and page.path != OTHER_PATHS
                pages.add(page)
            by_page[page].append(leave)
        for page, of_page in by_page.items():
            states[page] = rules.add(states.get(page), page, of_page)
    return [
        replace(state, candidates=candidates.packed())
        if state.path == OTHER_PATHS and separate_paths >= rules.MAX_PATHS
        else state
        for state in states.values()
    ]


def _computed(rows: Iterable[Row[Any]]) -> Iterator[tuple[Key, list[PageDuration]]]:
    for (site_id, hour), of_hour in groupby(rows, key=lambda row: (row.site_id, _hour(row))):
        pages: list[PageDuration] = []
        for _, group in groupby(of_hour, key=lambda row: row.kafka_partition):
            pages += compute(site_id, hour, map(_leave, group))
        yield (site_id, hour), pages


def _leave(row: Row[Any]) -> tuple[str, str, Leave]:
    path = path_of(row.path, row.url)
    return path, row.session_id, Leave(row.duration_ms, source_of(row))


def _hour(row: Row[Any]) -> int:
    at = micros(row.event_ts)
    return at - at % _HOUR_US


def _sums(parts: Iterable[Mapping[str, Any]], *, is_one_group: bool) -> dict[str, dict[str, Any]]:
    """Return the compared columns of each path, summed over partitions and generations."""
    by_path: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for part in parts:
        by_path[_ALL_PATHS if is_one_group else part["path"]].append(part)
    return {
        path: {
            "leaves": sum(part["leaves"] for part in group),
            "total_ms": sum(part["total_ms"] for part in group),
            "min_ms": min(part["min_ms"] for part in group),
            "max_ms": max(part["max_ms"] for part in group),
            "sketch": _merged([part["sketch"] for part in group]),
        }
        for path, group in by_path.items()
    }


def _merged(sketches: Sequence[bytes]) -> bytes:
    try:
        return sketch.merge(sketches)
    except (msgspec.MsgspecError, ValueError):  # invalid sketches differ from valid ones
        return b"".join(sketches)


def _leaves_query(snapshot: Snapshot, scope: Scope) -> Select[Any]:
    at = _EVENTS.c.event_ts
    query = select(*(_EVENTS.columns[name] for name in _EVENT_COLUMNS))
    query = scope.filter_sites(query, _EVENTS).where(
        _EVENTS.c.type == "pageleave", _EVENTS.c.duration_ms >= 0, _EVENTS.c.excluded.is_(None)
    )
    if scope.since is not None:
        query = query.where(at >= scope.since)
    if scope.keys is not None:
        # Inclusive ranges, because the end of the last hour of year 9999 cannot be represented.
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
    return query.order_by(
        _EVENTS.c.site_id, hour, *(_EVENTS.columns[name] for name in POSITION_COLUMNS)
    )


def _durations_query(scope: Scope) -> Select[Any]:
    site, hour = _DURATIONS.c.site_id, _DURATIONS.c.hour
    query = scope.filter_sites(select(_DURATIONS), _DURATIONS).order_by(site, hour)
    if scope.since is not None:
        query = query.where(hour >= scope.since)
    if scope.keys is not None:
        hours = [(site_id, from_micros(int(at))) for site_id, at in scope.keys]
        query = query.where(tuple_(site, hour).in_(hours))
    return query
