"""A database as the pipeline leaves it, for the audit: the books of the rules, and the writer."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from schemas.headers import Source
from schemas.records import Alert, AlertState, PageDuration, RawEvent, SessionState
from sinks.rows import alert_row, duration_row, event_row, session_rows
from sinks.sql.batch import SourcedRow
from sinks.sql.tables import AlertRow, EventRow, PageDurationRow, SessionRow
from streams.domain.alert_book import AlertBook
from streams.domain.duration_book import DurationBook
from streams.domain.session_book import SessionBook
from streams.domain.subscriptions import Subscriptions
from tests.contract.sinks.samples import open_for_test, refuse_nothing
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import RULES

Log = Sequence[tuple[RawEvent, Source]]

#: What an agent finds in one fetch.
_FETCH = 7


async def flow(url: str, log: Log, subscriptions: Subscriptions | None = None) -> None:
    """Have the database hold the log's events, and what the stream jobs make of them."""
    by_partition: defaultdict[int, list[tuple[RawEvent, Source]]] = defaultdict(list)
    for event, src in log:
        by_partition[src.partition].append((event, src))
    writer = await open_for_test(url)

    async def write(topic: str, rows: dict[Any, list[SourcedRow]]) -> None:
        await writer.assign(topic, 0)
        count = 1 + max((row[0] for some in rows.values() for row in some), default=0)
        await writer.write(topic, 0, count, rows, refuse_nothing)

    try:
        events = [event_row(event, src.partition, src.offset) for event, src in log]
        await write("events-raw", {EventRow: list(enumerate(events))})
        for partition, part in by_partition.items():
            visits = [row for state in _sessions(part) for row in session_rows(state)]
            await write(f"sessions-{partition}", {SessionRow: list(enumerate(visits))})
            pages = [duration_row(state) for state in _durations(part, partition)]
            await write(f"pages-{partition}", {PageDurationRow: list(enumerate(pages))})
        raised = [alert_row(alert) for alert in _alerts(log, subscriptions or Subscriptions())]
        await write("alerts", {AlertRow: list(enumerate(raised))})
    finally:
        await writer.close()


def _sessions(log: Log) -> list[SessionState]:
    states = FakeStates(SessionState)
    book = SessionBook(states, RULES)
    for start in range(0, len(log), _FETCH):
        for event, src in log[start : start + _FETCH]:
            while book.advance(src.log_ms):
                pass
            book.apply(f"{event.site_id}:{event.session_id}".encode(), event, src)
        states.write()
    return [state for _, state in states.published]


def _durations(log: Log, partition: int) -> list[PageDuration]:
    states = FakeStates(PageDuration)
    book = DurationBook(states, partition)
    for start in range(0, len(log), _FETCH):
        for event, src in log[start : start + _FETCH]:
            book.advance(src.log_ms)
            if event.type == "pageleave":
                book.leave(event, src)
        book.end_batch()
        states.write()
    return [state for _, state in states.published]


def _alerts(log: Log, subscriptions: Subscriptions) -> list[Alert]:
    states = FakeStates(AlertState)
    book = AlertBook(states, subscriptions)
    raised = []
    for event, src in log:
        raised += book.apply(event, src)
        states.write()
    return raised
