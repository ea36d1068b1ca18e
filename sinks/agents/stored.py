"""What each sink stores: of which record, in which table, in which rows."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from sqlmodel import SQLModel

from schemas.headers import REPLAY_OFFSET, find
from schemas.records import Alert, PageDuration, RawEvent, Record, SessionState
from sinks.rows import alert_row, duration_row, event_row, session_rows
from sinks.sql.statements import Row
from sinks.sql.tables import AlertRow, EventRow, PageDurationRow, SessionRow
from streams.engine.batch import InRecord


class Stored(NamedTuple):
    """`to_rows` is given what was decoded, the record that it was in, and that one's partition."""

    record: type[Record]
    table: type[SQLModel]
    to_rows: Callable[[Any, InRecord, int], Iterable[Row]]


def _offset_of(record: InRecord) -> int:
    """Return the offset that an event has in `events-raw`; a replay has that of its first time."""
    first = find(record.headers, REPLAY_OFFSET) or b""
    return int(first) if first.isdigit() else record.offset


EVENTS = Stored(
    RawEvent,
    EventRow,
    lambda event, record, partition: [event_row(event, partition, _offset_of(record))],
)
SESSIONS = Stored(SessionState, SessionRow, lambda state, *_: session_rows(state))
DURATIONS = Stored(PageDuration, PageDurationRow, lambda duration, *_: [duration_row(duration)])
ALERTS = Stored(Alert, AlertRow, lambda alert, *_: [alert_row(alert)])

#: By the names of the agents, which dead letters carry.
OF_STAGE: dict[bytes, Stored] = {
    b"store_events": EVENTS,
    b"store_sessions": SESSIONS,
    b"store_durations": DURATIONS,
    b"store_alerts": ALERTS,
}
