"""What to erase: the sessions of a person or of a site, and their events."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Table,
    and_,
    case,
    false,
    func,
    or_,
    select,
    union,
)

from sinks.sql.tables import EventRow, SessionRow, table_of
from sinks.sql.types import from_micros, micros

_EVENTS, _SESSIONS = table_of(EventRow), table_of(SessionRow)


class Selection(NamedTuple):
    """A site, and the ids of a person there; without ids, everything of the site.

    With `before`, sessions that have later events are left out.
    """

    site_id: str
    visitor_id: str | None = None
    user_id: str | None = None
    before: datetime | None = None

    @property
    def is_site(self) -> bool:
        """Whether everything of the site is meant."""
        return self.visitor_id is None and self.user_id is None and self.before is None

    @property
    def ids(self) -> dict[str, str]:
        """The ids of the person, by kind."""
        ids = {"visitor": self.visitor_id, "user": self.user_id}
        return {kind: value for kind, value in ids.items() if value is not None}


class FoundSession(NamedTuple):
    """A session to erase: its events and visits, and their range of time (us)."""

    session_id: str
    events: int
    visit_ids: Sequence[str]
    from_ts: int
    until_ts: int

    @property
    def visits(self) -> int:
        """The number of its visits."""
        return len(self.visit_ids)


def find_sessions(connection: Connection, selection: Selection) -> list[FoundSession]:
    """Return the sessions that have an event or a visit of the person.

    All events of such a session are the person's, also those without the id. If the session's
    events carry different ids, those of the highest trust count: anybody can send the others.
    Reads all events of the site twice, by no index (ADR 67).
    """
    ids = _session_ids(selection)
    events = {
        row.session_id: row
        for row in connection.execute(
            select(
                _EVENTS.c.session_id,
                func.count().label("events"),
                func.min(_EVENTS.c.event_ts).label("first"),
                func.max(_EVENTS.c.event_ts).label("last"),
                *_claims(selection),
            )
            .where(_EVENTS.c.site_id == selection.site_id, _EVENTS.c.session_id.in_(ids))
            .group_by(_EVENTS.c.session_id)
        )
    }
    visits: defaultdict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(
        select(
            _SESSIONS.c.session_id,
            _SESSIONS.c.visit_id,
            _SESSIONS.c.started_at.label("first"),
            _SESSIONS.c.ended_at.label("last"),
        ).where(_SESSIONS.c.site_id == selection.site_id, _SESSIONS.c.session_id.in_(ids))
    ):
        visits[row.session_id].append(row)
    return [
        _found(session_id, events.get(session_id), visits.get(session_id, []))
        for session_id in sorted(events.keys() | visits.keys())
        if not _continues(selection, events.get(session_id), *visits.get(session_id, []))
        and _is_claimed(selection, events.get(session_id))
    ]


def count_visits(connection: Connection, site_id: str, found: Sequence[FoundSession]) -> int:
    """Return how many visits of the erased events are left; not those of later events."""
    until = {one.session_id: one.until_ts for one in found}
    started_at = _SESSIONS.c.started_at
    query = select(_SESSIONS.c.session_id, _SESSIONS.c.ended_at).where(
        _SESSIONS.c.site_id == site_id,
        started_at >= from_micros(min(one.from_ts for one in found)),
        started_at <= from_micros(max(until.values())),
    )
    rows = connection.execute(query)
    return sum(micros(row.ended_at) <= until.get(row.session_id, -1) for row in rows)


def _session_ids(selection: Selection) -> CompoundSelect[Any]:
    def of_person(table: Table) -> ColumnElement[bool]:
        on_site = table.c.site_id == selection.site_id
        if selection.visitor_id is None and selection.user_id is None:
            return on_site
        is_person = or_(
            table.c.visitor_id == selection.visitor_id if selection.visitor_id else false(),
            table.c.user_id == selection.user_id if selection.user_id else false(),
        )
        return and_(on_site, is_person)

    return union(
        select(_EVENTS.c.session_id).where(of_person(_EVENTS)),
        select(_SESSIONS.c.session_id).where(of_person(_SESSIONS)),
    )


def _claims(selection: Selection) -> list[ColumnElement[int]]:
    """Return, for each kind of id, the highest trust of any id, and of that of the person."""
    trust = case((_EVENTS.c.trust == "key", 2), (_EVENTS.c.trust == "origin", 1), else_=0)
    columns: list[ColumnElement[int]] = []
    for kind, value in (("visitor", selection.visitor_id), ("user", selection.user_id)):
        column = _EVENTS.columns[f"{kind}_id"]
        any_id = func.max(case((column.is_not(None), trust), else_=-1))
        is_own = false() if value is None else column == value
        own_id = func.max(case((is_own, trust), else_=-1))
        columns += [any_id.label(f"any_{kind}"), own_id.label(f"own_{kind}")]
    return columns


def _is_claimed(selection: Selection, row: Any) -> bool:
    """Return True if no event of higher trust than the person's carries another id."""
    if row is None or (selection.visitor_id is None and selection.user_id is None):
        return True
    claims = ((row.own_visitor, row.any_visitor), (row.own_user, row.any_user))
    return any(own >= 0 and own >= highest for own, highest in claims)


def _continues(selection: Selection, *rows: Any) -> bool:
    if selection.before is None:
        return False
    return any(row is not None and row.last >= selection.before for row in rows)


def _found(session_id: str, events: Any, visits: Sequence[Any]) -> FoundSession:
    rows = [*visits] if events is None else [events, *visits]
    return FoundSession(
        session_id,
        0 if events is None else events.events,
        [str(visit.visit_id) for visit in visits],
        micros(min(row.first for row in rows)),
        micros(max(row.last for row in rows)),
    )
