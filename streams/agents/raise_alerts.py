"""events-alert → alerts: payments, new errors, too many errors; as subscriptions want them, too."""

from collections.abc import Awaitable, Callable

from schemas.codec import decode, encode, projection
from schemas.records import AlertState, RawEvent
from schemas.topics import ALERT_STATES, ALERTS, EVENTS_ALERT
from streams.agents.reading import read_events
from streams.domain.alert_book import AlertBook
from streams.domain.subscriptions import Subscriptions
from streams.engine.batch import Batch
from streams.engine.worker import Worker

#: What the rules look at, beside what every event has.
READ = projection(
    RawEvent,
    *("visitor_id", "user_id", "url", "error_name", "error_message", "error_stack"),
    *("provider", "amount", "currency"),
)


def register(
    worker: Worker, subscriptions: Subscriptions, complete: Callable[[], Awaitable[None]]
) -> None:
    """Register the agent and its table; no batch comes before `subscriptions` are `complete`."""
    table = worker.table(ALERT_STATES, encode, lambda value: decode(value, AlertState))
    books: dict[int, AlertBook] = {}

    async def open_book(partition: int) -> None:
        await complete()
        books[partition] = AlertBook(table.of(partition), subscriptions)
        books[partition].know([state async for _, state in table.stored(partition)])

    def raise_alerts(batch: Batch) -> None:
        book, now_ms = books[batch.partition], 0
        batch.left_early = book.begin_batch(worker.room.most)
        for record, src, event in read_events(batch, READ):
            now_ms = max(now_ms, src.log_ms)
            with batch.refusing(record):
                for alert in book.apply(event, src) if event else ():
                    batch.emit(ALERTS.name, batch.partition, record.key, encode(alert))
        book.end_batch(now_ms)

    worker.agent(EVENTS_ALERT, raise_alerts, tables=[table], prepare=open_book)
