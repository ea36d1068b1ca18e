"""The visits that `events` make, beside those of the table `sessions`.

The rules are those of `streams.domain`, applied to one session's events in the order of their
offsets. `received_at` stands for the log time, which `events` does not hold.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import Row, Select, select, tuple_, union
from sqlmodel import col

from infra.audit.difference import (
    MISSING,
    NOT_FROM_EVENTS,
    Findings,
    first_difference,
    merge,
    micros,
    neutral,
)
from infra.audit.scope import Key, Scope, bytewise
from infra.audit.snapshot import Snapshot, source_of
from schemas.headers import Source
from schemas.records import RawEvent, SessionState, Utm, Visit
from sinks.rows import session_rows
from sinks.sql.tables import EventRow, SessionRow, table_of
from streams.domain import sessions
from streams.domain.sessions import SessionRules

COLUMNS = tuple(table_of(SessionRow).columns.keys())
#: Whether a visit is open or closed is decided by the broker's clock, and a revision counts
#: what happened on the way: neither is a function of `events`.
_UNDECIDED = ("state", "close_reason", "revision")
_COMPARED = tuple(name for name in COLUMNS if name not in _UNDECIDED)

SqlRow = tuple[Any, ...]


@dataclass(slots=True)
class Folded:
    """What one session's events of one partition come to.

    `finished` are the visits that were forgotten on the way: rows that no state has any more.
    """

    partition: int
    state: SessionState
    finished: list[Visit] = field(default_factory=list)

    def rows(self) -> list[SqlRow]:
        """Return the rows of all visits."""
        everything = [*self.finished, *self.state.visits]
        state = self.state
        return session_rows(
            SessionState(
                site_id=state.site_id,
                session_id=state.session_id,
                src_offset=state.src_offset,
                visits=everything,
            )
        )


#: A session's folds, one for each partition that has events of it (of an old install, two).
Joined = tuple[Key, list[Folded] | None, list[SqlRow] | None]


def joined(
    snapshot: Snapshot, rules: SessionRules, scope: Scope, until_ms: Callable[[int], int]
) -> Iterator[Joined]:
    """Yield each session with what its events come to, and its rows in `sessions`.

    `until_ms` is the stream time that a partition has come to: no log time is later.
    """
    events = snapshot.rows(_events_query(snapshot, scope), counted=True)
    found = snapshot.rows(_sessions_query(snapshot, scope))
    return merge(_folded(events, rules, until_ms), _gathered(found))


def compare(
    snapshot: Snapshot, rules: SessionRules, scope: Scope, until_ms: Callable[[int], int]
) -> Findings:
    """Compare `sessions` with `events`, visit by visit."""
    findings = Findings("sessions")
    for key, folds, rows in joined(snapshot, rules, scope, until_ms):
        wanted = {row[0]: row for fold in folds or () for row in fold.rows()}
        has = {row[0]: row for row in rows or ()}
        for visit_id in sorted(wanted.keys() | has.keys()):
            name = f"{key[0]}:{key[1]} visit {visit_id}"
            findings.add(key, name, _difference(wanted.get(visit_id), has.get(visit_id)))
    return findings


def fold(
    events: Iterable[tuple[RawEvent, Source]], partition: int, rules: SessionRules
) -> Folded | None:
    """Apply a session's events, in the order of their offsets; None when there are none."""
    folded: Folded | None = None
    now_ms = 0
    for event, src in events:
        now_ms = max(now_ms, src.log_ms)
        state = None
        if folded is not None:
            state = sessions.close_due(folded.state, now_ms, rules)
            kept = sessions.forget_due(state, now_ms, rules)
            if kept is not state:
                folded.finished += [visit for visit in state.visits if visit not in kept.visits]
            state = kept
        applied = sessions.apply(state, event, src, rules)
        if folded is None:
            folded = Folded(partition, applied)
        folded.state = applied
    return folded


def _folded(
    rows: Iterable[Row[Any]], rules: SessionRules, until_ms: Callable[[int], int]
) -> Iterator[tuple[Key, list[Folded]]]:
    for key, of_session in groupby(rows, key=lambda row: (row.site_id, row.session_id)):
        folds = []
        for partition, some in groupby(of_session, key=lambda row: int(row.kafka_partition)):
            until = until_ms(partition)
            made = fold((_event(row, until) for row in some), partition, rules)
            folds += [made] if made else []
        yield key, folds


def _gathered(rows: Iterable[Row[Any]]) -> Iterator[tuple[Key, list[SqlRow]]]:
    for key, of_session in groupby(rows, key=lambda row: (row.site_id, row.session_id)):
        yield key, [neutral(row) for row in of_session]


def _event(row: Row[Any], until_ms: int) -> tuple[RawEvent, Source]:
    utm = row.utm
    event = RawEvent(
        event_id=row.event_id,
        type=row.type,
        site_id=row.site_id,
        session_id=row.session_id,
        visitor_id=row.visitor_id,
        user_id=row.user_id,
        received_at=micros(row.received_at),
        event_ts=micros(row.event_ts),
        time_source=row.time_source,
        path=row.path,
        referrer=row.referrer,
        utm=Utm(**utm) if utm else None,
    )
    return event, source_of(row, until_ms)


def _difference(wanted: SqlRow | None, has: SqlRow | None) -> str | None:
    if has is None:
        return MISSING
    if wanted is None:
        return NOT_FROM_EVENTS
    expected = dict(zip(COLUMNS, wanted, strict=True))
    found = dict(zip(COLUMNS, has, strict=True))
    if (expected["state"] == "withdrawn") != (found["state"] == "withdrawn"):
        other = "withdrawn" if expected["state"] == "withdrawn" else "open or closed"
        return f"state is {found['state']}, not {other}"
    return first_difference(
        _COMPARED, [expected[name] for name in _COMPARED], [found[name] for name in _COMPARED]
    )


def _events_query(snapshot: Snapshot, scope: Scope) -> Select[Any]:
    names = (
        *("site_id", "session_id", "kafka_partition", "kafka_offset", "event_id", "type"),
        *("event_ts", "received_at", "time_source", "visitor_id", "user_id", "path"),
        *("referrer", "utm"),
    )
    table = table_of(EventRow)
    query = select(*(table.columns[name] for name in names))
    return _in_order(snapshot, _within(query, table, scope), table).order_by(
        table.c.kafka_partition, table.c.kafka_offset
    )


def _sessions_query(snapshot: Snapshot, scope: Scope) -> Select[Any]:
    table = table_of(SessionRow)
    return _in_order(snapshot, _within(select(table), table, scope), table)


def _in_order(snapshot: Snapshot, query: Select[Any], table: Any) -> Select[Any]:
    connection = snapshot.connection
    return query.order_by(
        bytewise(connection, table.c.site_id), bytewise(connection, table.c.session_id)
    )


def _within(query: Select[Any], table: Any, scope: Scope) -> Select[Any]:
    """Return the query for the scope: the same sessions, whole, of either table."""
    session = tuple_(table.c.site_id, table.c.session_id)
    if scope.site is not None:
        query = query.where(table.c.site_id == scope.site)
    if scope.keys is not None:
        query = query.where(session.in_(sorted(scope.keys)))
    if scope.since is not None:
        active = union(
            select(col(EventRow.site_id), col(EventRow.session_id)).where(
                col(EventRow.event_ts) >= scope.since
            ),
            select(col(SessionRow.site_id), col(SessionRow.session_id)).where(
                col(SessionRow.ended_at) >= scope.since
            ),
        )
        query = query.where(session.in_(active))
    return query
