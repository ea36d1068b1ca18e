"""Compare the table `sessions` with the visits computed from `events`.

The rules of `streams.domain` are applied to the events of each session, ordered by offset.
`received_at` replaces the log append time, which is not in `events`.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import Row, Select, Table, select, tuple_, union

from headrace.ops.audit.findings import (
    EARLIER_RULES,
    NOT_FROM_EVENTS,
    Findings,
    SqlRow,
    difference,
    merge,
    rows_by_key,
)
from headrace.ops.audit.scope import Key, Scope
from headrace.ops.audit.snapshot import POSITION_COLUMNS, Snapshot, source_of
from schemas.headers import Source
from schemas.records import RawEvent, SessionState, Utm, Visit
from sinks.rows import session_rows
from sinks.sql.tables import EventRow, SessionRow, table_of
from sinks.sql.types import micros
from streams.domain.sessions import rules as sessions
from streams.domain.sessions.referrers import is_external
from streams.domain.sessions.rules import SessionRules

_EVENTS, _SESSIONS = table_of(EventRow), table_of(SessionRow)
_COLUMNS = tuple(_SESSIONS.columns.keys())
_KEY = tuple(map(_COLUMNS.index, ("site_id", "session_id")))
#: The other columns are not determined by `events`: the broker's clock closes a visit, and a
#: revision counts its updates.
_COMPARED = [name for name in _COLUMNS if name not in ("state", "close_reason", "revision")]
#: Derived from one event of the visit; earlier versions did not have them.
ATTRIBUTES = ("source", "channel", "country", "region", "browser", "os", "device")
_EVENT_COLUMNS = (
    *("site_id", "session_id", "event_id", "type", "event_ts", "received_at", "time_source"),
    *("visitor_id", "user_id", "url", "path", "hostname", "referrer", "utm", "trust"),
    *ATTRIBUTES,
)


class ComputedSession(NamedTuple):
    """The state of a session, computed from one partition.

    `removed` are visits that are no longer in the state but have a row.
    """

    partition: int
    state: SessionState
    removed: list[Visit]

    @property
    def visits(self) -> list[Visit]:
        """All visits, including runs of passive events, which have no row."""
        return [*self.removed, *self.state.visits]

    def rows(self) -> list[SqlRow]:
        """Return the rows of the visits."""
        return session_rows(replace(self.state, visits=self.visits))


#: A session, its states computed from events (one per partition), and its rows.
Joined = tuple[Key, list[ComputedSession] | None, list[SqlRow] | None]


def joined(snapshot: Snapshot, rules: SessionRules, scope: Scope) -> Iterator[Joined]:
    """Yield each session with its states computed from events, and its rows in `sessions`."""
    query = select(*(_EVENTS.columns[name] for name in (*POSITION_COLUMNS, *_EVENT_COLUMNS)))
    query = query.where(_EVENTS.c.excluded.is_(None))
    in_order = _within(query, _EVENTS, scope).order_by(
        *(_EVENTS.columns[name] for name in POSITION_COLUMNS)
    )
    events = snapshot.rows(in_order, counted=True)
    found = snapshot.rows(_within(select(_SESSIONS), _SESSIONS, scope))
    return merge(_computed(events, rules), rows_by_key(found, *_KEY))


def compare(snapshot: Snapshot, rules: SessionRules, scope: Scope) -> Findings:
    """Compare `sessions` with `events` for each visit."""
    findings = Findings("sessions")
    complete_from = scope.complete_from(gap_us=rules.gap_us)
    for key, computed, rows in joined(snapshot, rules, scope):
        expected = _by_id(row for one in computed or () for row in one.rows())
        found = _by_id(rows or ())
        visits = {visit.visit_id: visit for one in computed or () for visit in one.visits}
        for visit_id in sorted(expected.keys() | found.keys()):
            both = (expected.get(visit_id), found.get(visit_id))
            if any(row is not None and row["started_at"] < complete_from for row in both):
                continue
            problem = _difference(*both)
            if problem is not None and _is_earlier(visits, found.get(visit_id), problem):
                problem = f"{EARLIER_RULES}: {problem}"
            findings.add(key, f"{key[0]}:{key[1]} visit {visit_id}", problem)
    return findings


def compute_session(
    events: Iterable[tuple[RawEvent, Source]], partition: int, rules: SessionRules
) -> ComputedSession:
    """Return the session computed from its events, at least one, ordered by offset."""
    state: SessionState | None = None
    removed: list[Visit] = []
    now_ms = 0
    for event, src in events:
        now_ms = max(now_ms, src.log_ms)
        if state is not None:
            closed = sessions.close_due(state, now_ms, rules)
            state = sessions.remove_due(closed, now_ms, rules)
            if state is not closed:
                removed += [visit for visit in closed.visits if visit not in state.visits]
        state = sessions.apply(state, event, src, rules)
    assert state is not None  # noqa: S101 - for the type checker
    return ComputedSession(partition, state, removed)


def _computed(
    rows: Iterable[Row[Any]], rules: SessionRules
) -> Iterator[tuple[Key, list[ComputedSession]]]:
    for key, of_session in groupby(rows, key=lambda row: (row.site_id, row.session_id)):
        yield (
            key,
            [
                compute_session(((_event(row), source_of(row)) for row in some), partition, rules)
                for partition, some in groupby(of_session, key=lambda row: row.kafka_partition)
            ],
        )


def _event(row: Row[Any]) -> RawEvent:
    fields = {name: getattr(row, name) for name in _EVENT_COLUMNS}
    fields |= {name: micros(fields[name]) for name in ("event_ts", "received_at")}
    return RawEvent(**{**fields, "utm": Utm(**row.utm) if row.utm else None})


def _by_id(rows: Iterable[SqlRow]) -> dict[str, dict[str, Any]]:
    return {row[0]: dict(zip(_COLUMNS, row, strict=True)) for row in rows}


def _difference(expected: Mapping[str, Any] | None, found: Mapping[str, Any] | None) -> str | None:
    if expected and found and (expected["state"] == "withdrawn") != (found["state"] == "withdrawn"):
        state = "withdrawn" if expected["state"] == "withdrawn" else "open or closed"
        return f"state is {found['state']}, not {state}"
    return difference(_COMPARED, expected, found)


def _is_earlier(visits: Mapping[str, Visit], row: Mapping[str, Any] | None, problem: str) -> bool:
    """Return True if a row was computed by the rules of an earlier version.

    Earlier rules counted runs of passive events as visits, and a site's own hosts as referrers, and
    visits had no attributes. If such a run is now part of a visit, that visit has a new id and
    contains the time of the old row.
    """
    if row is None:
        return False
    if problem == NOT_FROM_EVENTS:
        return not (row["pageviews"] or row["errors"] or row["payments"]) and any(
            visit.started_at <= row["started_at"] and row["ended_at"] <= visit.ended_at
            for visit in visits.values()
        )
    if problem.startswith(tuple(f"{name} is empty, " for name in ATTRIBUTES)):
        return not any(row[name] for name in ATTRIBUTES)
    visit = visits.get(row["visit_id"])
    return (
        visit is not None
        and problem.startswith("referrer is ")
        and not is_external(row["referrer"] or "", visit.hosts)
    )


def _within(query: Select[Any], table: Table, scope: Scope) -> Select[Any]:
    """Restrict a query to whole sessions in the scope, ordered by key."""
    query = scope.filter_sites(query, table).order_by(table.c.site_id, table.c.session_id)
    session = tuple_(table.c.site_id, table.c.session_id)
    if scope.keys is not None:
        query = query.where(session.in_(sorted(scope.keys)))
    if scope.since is not None:
        active = union(
            select(_EVENTS.c.site_id, _EVENTS.c.session_id).where(
                _EVENTS.c.event_ts >= scope.since
            ),
            select(_SESSIONS.c.site_id, _SESSIONS.c.session_id).where(
                _SESSIONS.c.ended_at >= scope.since
            ),
        )
        query = query.where(session.in_(active))
    return query
