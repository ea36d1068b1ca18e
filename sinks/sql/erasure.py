"""Erasure of the rows of sessions (ADR 67)."""

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, select

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

    def erases(self, row: Row) -> bool:
        """Return True if it erases a row of an earlier record."""
        columns = self.table.columns.keys()
        site, session = row[columns.index("site_id")], row[columns.index("session_id")]
        if (site, session) != (self.site_id, self.session_id):
            return False
        if self.table is not _EVENTS:
            return True
        at: int = row[columns.index("event_ts")]
        return self.from_ts <= at <= self.until_ts


def erase(connection: Connection, erasure: Erasure) -> None:
    """Delete the rows of a session from one table.

    Hours of deleted page leaves are recorded: the durations that include them stay, as anonymous
    sums, but can no longer be computed from `events`.
    """
    table = erasure.table
    of_session = and_(table.c.site_id == erasure.site_id, table.c.session_id == erasure.session_id)
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
