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
from schemas.positions import epoch_of
from schemas.records import RawEvent, SessionState, Utm, Visit
from sinks.rows import session_rows
from sinks.sql.tables import EventRow, SessionRow, table_of
from sinks.sql.types import micros
from streams.domain.sessions import rules as sessions
from streams.domain.sessions.referrers import is_external
from streams.domain.sessions.rules import SessionRules

#: The order in which the events of a session are applied.
SESSION_ORDER = ("kafka_epoch", "kafka_partition", "kafka_offset")

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
    """The state of a session, in one partition.

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
        *(_EVENTS.columns[name] for name in SESSION_ORDER)
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


class _Computation:
    """The computation of a session from its events, ordered by position."""

    def __init__(self, rules: SessionRules) -> None:
        self._rules = rules
        self._state: SessionState | None = None
        self._removed: list[Visit] = []
        self._now_ms = 0
        #: The partition and epoch of the last event.
        self.partition = self.epoch = 0

    def add(self, event: RawEvent, src: Source) -> None:
        """Apply an event."""
        self.partition, self.epoch = src.partition, epoch_of(src.offset)
        self._now_ms = max(self._now_ms, src.log_ms)
        if (state := self._state) is not None:
            closed = sessions.close_due(state, self._now_ms, self._rules)
            state = sessions.remove_due(closed, self._now_ms, self._rules)
            if state is not closed:
                self._removed += [one for one in closed.visits if one not in state.visits]
        self._state = sessions.apply(state, event, src, self._rules)

    def result(self) -> ComputedSession:
        """Return the session, of at least one event."""
        assert self._state is not None  # noqa: S101 - for the type checker
        return ComputedSession(self.partition, self._state, self._removed)


def compute_sessions(
    events: Iterable[tuple[RawEvent, Source]], rules: SessionRules
) -> list[ComputedSession]:
    """Return the states of a session, computed from its events in the order of `SESSION_ORDER`.

    A producer with another partitioner may have sent events of one session to several partitions,
    each of which has its own state. In a new epoch, the topics may have more partitions, and the
    state of the session is then in another one.
    """
    found: dict[int, _Computation] = {}
    for event, src in events:
        if src.partition not in found:
            moved = _pop_moved(found, epoch_of(src.offset))
            found[src.partition] = moved or _Computation(rules)
        found[src.partition].add(event, src)
    return [one.result() for one in found.values()]


def _pop_moved(found: dict[int, _Computation], epoch: int) -> _Computation | None:
    """Remove and return the only computation if its events are of an earlier epoch."""
    if len(found) != 1:
        return None
    [(partition, only)] = found.items()
    return found.pop(partition) if only.epoch < epoch else None


def _computed(
    rows: Iterable[Row[Any]], rules: SessionRules
) -> Iterator[tuple[Key, list[ComputedSession]]]:
    for key, of_session in groupby(rows, key=lambda row: (row.site_id, row.session_id)):
        events = ((_event(row), source_of(row)) for row in of_session)
        yield key, compute_sessions(events, rules)


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
