"""Erase again, in a database that was restored from a backup.

The roles are stopped: rows are deleted directly. The derived topics are rebuilt afterwards
(`headrace.ops.adopt`).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, and_, delete, exists, func, select

from headrace.ops.erase.alerts import FoundAlert, erase_alerts
from headrace.ops.erase.erasures import session_hash, site_hash
from schemas.batched import batched
from schemas.records import BlockedId
from sinks.sql.erasure import Erasure, erase
from sinks.sql.tables import AlertRow, EventRow, PageDurationRow, SessionRow, table_of
from sinks.sql.types import from_micros, micros

_EVENTS, _SESSIONS = table_of(EventRow), table_of(SessionRow)
_ALERTS, _DURATIONS = table_of(AlertRow), table_of(PageDurationRow)
#: Alerts erased at a time.
_BATCH_SIZE = 200


class _Erased(NamedTuple):
    """A session to erase: when it was erased, and the range of `event_ts` of its events (us)."""

    session_id: str
    at: int
    from_ts: int
    until_ts: int


def erase_again(connection: Connection, erasures: Iterable[BlockedId]) -> int:
    """Delete what the erasures cover: rows received before them. Idempotent.

    Return the number of sessions and sites that had rows.
    """
    by_site: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for erasure in erasures:
        by_site[erasure.site_id][erasure.hash] = erasure.created_at
    count = 0
    for site_id, erased_at in by_site.items():
        at = erased_at.pop(site_hash(site_id), None)
        if at is not None:
            count += _erase_site(connection, site_id, at)
        if erased_at:
            count += _erase_sessions(connection, site_id, erased_at)
    return count


def _erase_sessions(connection: Connection, site_id: str, erased_at: Mapping[str, int]) -> int:
    found = _find(connection, site_id, erased_at)
    alerts = _find_alerts(connection, site_id, {one.session_id: one.at for one in found})
    for batch in batched(alerts, _BATCH_SIZE):
        erase_alerts(connection, site_id, batch)
    for one in found:
        erasure = Erasure(0, _EVENTS, site_id, one.session_id, one.from_ts, one.until_ts)
        erase(connection, erasure, _EVENTS.c.received_at <= from_micros(one.at))
    _erase_visits(connection, site_id, erased_at)
    return len(found)


def _find(connection: Connection, site_id: str, erased_at: Mapping[str, int]) -> list[_Erased]:
    """Return the erased sessions that have events received before."""
    latest = from_micros(max(erased_at.values()))
    query = (
        select(
            _EVENTS.c.session_id,
            func.min(_EVENTS.c.event_ts).label("first"),
            func.max(_EVENTS.c.event_ts).label("last"),
            func.min(_EVENTS.c.received_at).label("received"),
        )
        .where(_EVENTS.c.site_id == site_id, _EVENTS.c.received_at <= latest)
        .group_by(_EVENTS.c.session_id)
    )
    found = []
    for row in connection.execute(query):
        at = erased_at.get(session_hash(site_id, row.session_id))
        if at is not None and micros(row.received) <= at:
            found.append(_Erased(row.session_id, at, micros(row.first), micros(row.last)))
    return found


def _find_alerts(
    connection: Connection, site_id: str, erased: Mapping[str, int]
) -> list[FoundAlert]:
    """Return the alerts about events of sessions that were received before their erasure."""
    of_site = and_(_EVENTS.c.event_id == _ALERTS.c.event_id, _EVENTS.c.site_id == _ALERTS.c.site_id)
    query = (
        select(_ALERTS.c.alert_id, _ALERTS.c.rule, _EVENTS.c.session_id, _EVENTS.c.received_at)
        .join_from(_ALERTS, _EVENTS, of_site)
        .where(_ALERTS.c.site_id == site_id)
    )
    return [
        FoundAlert(row.alert_id, row.rule)
        for row in connection.execute(query)
        if micros(row.received_at) <= erased.get(row.session_id, -1)
    ]


def _erase_visits(connection: Connection, site_id: str, erased_at: Mapping[str, int]) -> None:
    """Delete the visits of erased sessions that have no events.

    They are those of the events that were just deleted, or that were deleted when the backup was
    made during an erasure.
    """
    has_events = exists().where(
        _EVENTS.c.site_id == _SESSIONS.c.site_id,
        _EVENTS.c.session_id == _SESSIONS.c.session_id,
        _EVENTS.c.event_ts.between(_SESSIONS.c.started_at, _SESSIONS.c.ended_at),
    )
    query = select(_SESSIONS.c.session_id).where(_SESSIONS.c.site_id == site_id).distinct()
    for name in connection.execute(query).scalars().all():
        at = erased_at.get(session_hash(site_id, name))
        if at is not None:
            of_session = and_(_SESSIONS.c.site_id == site_id, _SESSIONS.c.session_id == name)
            before = _SESSIONS.c.started_at <= from_micros(at)
            connection.execute(delete(_SESSIONS).where(of_session, before, ~has_events))


def _erase_site(connection: Connection, site_id: str, at: int) -> int:
    """Delete the rows of a site; return 1 if there were any."""
    until = from_micros(at)
    alerts = select(_ALERTS.c.alert_id, _ALERTS.c.rule).where(
        _ALERTS.c.site_id == site_id, _ALERTS.c.raised_at <= until
    )
    found = [FoundAlert(row.alert_id, row.rule) for row in connection.execute(alerts)]
    for batch in batched(found, _BATCH_SIZE):
        erase_alerts(connection, site_id, batch)
    rows = 0
    for table, condition in (
        (_EVENTS, _EVENTS.c.received_at <= until),
        (_SESSIONS, _SESSIONS.c.started_at <= until),
        (_ALERTS, _ALERTS.c.raised_at <= until),
        (_DURATIONS, _DURATIONS.c.hour <= until),
    ):
        gone = delete(table).where(table.c.site_id == site_id, condition)
        rows += connection.execute(gone).rowcount
    return min(rows, 1)
