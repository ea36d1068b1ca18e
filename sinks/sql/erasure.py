"""Erasure of the rows of sessions (ADR 67)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, select

from sinks.sql.batch import SourcedRow
from sinks.sql.statements import Row, insert_rows
from sinks.sql.tables import ErasedHourRow, EventRow, table_of
from sinks.sql.types import from_micros, micros

_EVENTS = table_of(EventRow)
_ERASED_HOURS = table_of(ErasedHourRow)
_HOUR_US = 3_600_000_000


class Erasure(NamedTuple):
    """A record at `offset` that erases the rows of a session in the sink's table.

    `from_ts` and `until_ts` (µs, inclusive) limit `event_ts` of events, so that an index is used.
    """

    offset: int
    table: Table
    site_id: str
    session_id: str
    from_ts: int = 0
    until_ts: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """The session."""
        return self.site_id, self.session_id


def without_erased(
    table: Table, rows: Sequence[SourcedRow], erasures: Iterable[Erasure]
) -> list[SourcedRow]:
    """Return the rows of a batch without those that a later record of the batch erases."""
    by_session: defaultdict[tuple[str, str], list[Erasure]] = defaultdict(list)
    for erasure in erasures:
        by_session[erasure.key].append(erasure)
    names = table.columns.keys()
    site, session = names.index("site_id"), names.index("session_id")
    event_ts = names.index("event_ts") if table is _EVENTS else None

    def is_erased(offset: int, row: Row) -> bool:
        return any(
            offset < erasure.offset
            and (event_ts is None or erasure.from_ts <= row[event_ts] <= erasure.until_ts)
            for erasure in by_session.get((row[site], row[session]), ())
        )

    return [(offset, row) for offset, row in rows if not is_erased(offset, row)]


def erase(connection: Connection, erasure: Erasure, *conditions: ColumnElement[bool]) -> None:
    """Delete the rows of a session from one table, if they satisfy `conditions`.

    Hours of deleted page leaves are recorded: the durations that include them stay, as anonymous
    sums, but can no longer be computed from `events`.
    """
    table = erasure.table
    of_session = and_(
        table.c.site_id == erasure.site_id, table.c.session_id == erasure.session_id, *conditions
    )
    if table is _EVENTS:
        ends = (from_micros(erasure.from_ts), from_micros(erasure.until_ts))
        of_session = and_(of_session, table.c.event_ts.between(*ends))
        _record_hours(connection, erasure.site_id, of_session)
    connection.execute(delete(table).where(of_session))


def _record_hours(connection: Connection, site_id: str, condition: ColumnElement[bool]) -> None:
    leaves = select(_EVENTS.c.event_ts).where(condition, _EVENTS.c.type == "pageleave")
    times = map(micros, connection.execute(leaves).scalars())
    hours = sorted({at - at % _HOUR_US for at in times})
    if hours:
        insert_rows(connection, _ERASED_HOURS, [(site_id, hour) for hour in hours])
