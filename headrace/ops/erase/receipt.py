"""The receipt of an erasure: what was deleted, and what remains in Kafka until when."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from headrace.ops.erase.run import Receipt
from schemas.plurals import counted
from schemas.topics import ALERTS, DEAD_LETTERS, EVENTS_RAW, LIVE_COUNTERS, Topic


def lines(receipt: Receipt) -> Iterator[str]:
    """Yield the lines of the receipt."""
    yield f"Erased {counted(receipt.sessions, 'session')}:"
    for table, count in receipt.rows.items():
        if count:
            yield f"  {table:<20} {count:>10,}"
    yield "Time on page stays as sums per hour and path, which identify no person."
    yield "Kafka deletes the records themselves by its retention:"
    events = "events-raw, events-session, events-pageleave, events-alert"
    yield f"  {events}, visits: {_until(EVENTS_RAW)}"
    yield f"  alerts: {_until(ALERTS)}"
    yield f"  dead letters (`headrace dlq list`): {_until(DEAD_LETTERS[0])}"
    yield f"  live-counters: {_until(LIVE_COUNTERS)}"
    yield "Backups made before still contain it; `headrace restore` erases it again."


def _until(topic: Topic) -> str:
    last = datetime.now(UTC) + timedelta(milliseconds=topic.retention_ms or 0)
    return f"until {last:%Y-%m-%d %H:%M} UTC at the latest"
