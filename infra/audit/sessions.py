"""The visits that `events` make, beside those of the table `sessions`.

The rules are those of `streams.domain`, applied to one session's events in the order of their
offsets. `received_at` stands for the log time, which `events` does not hold.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import Row, Select, Table, select, tuple_, union

from infra.audit.difference import (
    EARLIER_RULES,
    NOT_FROM_EVENTS,
    Findings,
    SqlRow,
    difference,
    merge,
    rows_by_key,
)
from infra.audit.scope import Key, Scope
from infra.audit.snapshot import PLACE, Snapshot, source_of
from schemas.headers import Source
from schemas.records import RawEvent, SessionState, Utm, Visit
from sinks.rows import session_rows
from sinks.sql.tables import EventRow, SessionRow, table_of
from sinks.sql.types import micros
from streams.domain import sessions
from streams.domain.referrers import is_external
from streams.domain.sessions import SessionRules

_EVENTS, _SESSIONS = table_of(EventRow), table_of(SessionRow)
_COLUMNS = tuple(_SESSIONS.columns.keys())
_KEY = tuple(map(_COLUMNS.index, ("site_id", "session_id")))
#: Whether a visit is open or closed is decided by the broker's clock, and a revision counts
#: what happened on the way: neither is a function of `events`.
_COMPARED = [name for name in _COLUMNS if name not in ("state", "close_reason", "revision")]
_EVENT_COLUMNS = (
    *("site_id", "session_id", "event_id", "type", "event_ts", "received_at", "time_source"),
    *("visitor_id", "user_id", "url", "path", "hostname", "referrer", "utm"),
)


class Folded(NamedTuple):
    """The result of one session's events of one partition.

    `finished` are the visits that were forgotten on the way: rows that no state has any more.
    """

    partition: int
    state: SessionState
    finished: list[Visit]

    @property
    def visits(self) -> list[Visit]:
        """All visits, and runs of passive events, which have no row."""
        return [*self.finished, *self.state.visits]

    def rows(self) -> list[SqlRow]:
        """Return the rows of all visits."""
        return session_rows(replace(self.state, visits=self.visits))


#: A session, its folds (one for each partition that has events of it), and its rows.
Joined = tuple[Key, list[Folded] | None, list[SqlRow] | None]


def joined(snapshot: Snapshot, rules: SessionRules, scope: Scope) -> Iterator[Joined]:
    """Yield each session with the result of its events, and its rows in `sessions`."""
    query = select(*(_EVENTS.columns[name] for name in (*PLACE, *_EVENT_COLUMNS)))
    in_order = _within(query, _EVENTS, scope).order_by(*(_EVENTS.columns[name] for name in PLACE))
    events = snapshot.rows(in_order, counted=True)
    found = snapshot.rows(_within(select(_SESSIONS), _SESSIONS, scope))
    return merge(_folded(events, rules), rows_by_key(found, *_KEY))


def compare(snapshot: Snapshot, rules: SessionRules, scope: Scope) -> Findings:
    """Compare `sessions` with `events`, visit by visit."""
    findings = Findings("sessions")
    for key, folds, rows in joined(snapshot, rules, scope):
        wanted = _by_id(row for fold in folds or () for row in fold.rows())
        has = _by_id(rows or ())
        visits = {visit.visit_id: visit for fold in folds or () for visit in fold.visits}
        for visit_id in sorted(wanted.keys() | has.keys()):
            what = _difference(wanted.get(visit_id), has.get(visit_id))
            if what is not None and _is_earlier(visits, has.get(visit_id), what):
                what = f"{EARLIER_RULES}: {what}"
            findings.add(key, f"{key[0]}:{key[1]} visit {visit_id}", what)
    return findings


def fold(events: Iterable[tuple[RawEvent, Source]], partition: int, rules: SessionRules) -> Folded:
    """Apply a session's events, of which there is one at least, in the order of their offsets."""
    state: SessionState | None = None
    finished: list[Visit] = []
    now_ms = 0
    for event, src in events:
        now_ms = max(now_ms, src.log_ms)
        if state is not None:
            closed = sessions.close_due(state, now_ms, rules)
            state = sessions.remove_due(closed, now_ms, rules)
            if state is not closed:
                finished += [visit for visit in closed.visits if visit not in state.visits]
        state = sessions.apply(state, event, src, rules)
    assert state is not None  # noqa: S101 - for the type checker
    return Folded(partition, state, finished)


def _folded(rows: Iterable[Row[Any]], rules: SessionRules) -> Iterator[tuple[Key, list[Folded]]]:
    for key, of_session in groupby(rows, key=lambda row: (row.site_id, row.session_id)):
        yield (
            key,
            [
                fold(((_event(row), source_of(row)) for row in some), partition, rules)
                for partition, some in groupby(of_session, key=lambda row: row.kafka_partition)
            ],
        )


def _event(row: Row[Any]) -> RawEvent:
    fields = {name: getattr(row, name) for name in _EVENT_COLUMNS}
    fields |= {name: micros(fields[name]) for name in ("event_ts", "received_at")}
    return RawEvent(**{**fields, "utm": Utm(**row.utm) if row.utm else None})


def _by_id(rows: Iterable[SqlRow]) -> dict[str, dict[str, Any]]:
    return {row[0]: dict(zip(_COLUMNS, row, strict=True)) for row in rows}


def _difference(wanted: Mapping[str, Any] | None, has: Mapping[str, Any] | None) -> str | None:
    if wanted and has and (wanted["state"] == "withdrawn") != (has["state"] == "withdrawn"):
        other = "withdrawn" if wanted["state"] == "withdrawn" else "open or closed"
        return f"state is {has['state']}, not {other}"
    return difference(_COMPARED, wanted, has)


def _is_earlier(visits: Mapping[str, Visit], row: Mapping[str, Any] | None, what: str) -> bool:
    """Return True if a row differs as versions did that had simpler rules.

    They counted runs of passive events as visits, and a site's own hosts as referrers. A run that
    has become a visit since then has another id, and its old row is within that visit.
    """
    if row is None:
        return False
    if what == NOT_FROM_EVENTS:
        return not (row["pageviews"] or row["errors"] or row["payments"]) and any(
            visit.started_at <= row["started_at"] and row["ended_at"] <= visit.ended_at
            for visit in visits.values()
        )
    visit = visits.get(row["visit_id"])
    return (
        visit is not None
        and what.startswith("referrer is ")
        and not is_external(row["referrer"] or "", visit.hosts)
    )


def _within(query: Select[Any], table: Table, scope: Scope) -> Select[Any]:
    """Return the query for the sessions of the scope, whole, in the order of their keys."""
    query = scope.of_sites(query, table).order_by(table.c.site_id, table.c.session_id)
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
