"""events-pageleave → page-durations: time on page by site, hour and path."""

from schemas.codec import decode, encode, projection
from schemas.records import PageDuration, RawEvent
from schemas.topics import EVENTS_PAGELEAVE, PAGE_DURATIONS
from streams.agents.reading import read_events
from streams.domain.duration_book import DurationBook
from streams.engine.batch import Batch
from streams.engine.worker import Worker

#: What the rules look at, beside what every event has.
READ = projection(RawEvent, "url", "path", "duration_ms")


def register(worker: Worker) -> None:
    """Register the agent and its table."""
    table = worker.table(PAGE_DURATIONS, encode, lambda value: decode(value, PageDuration))
    books: dict[int, DurationBook] = {}

    async def open_book(partition: int) -> None:
        books[partition] = DurationBook(table.of(partition), partition)
        async for key, state in table.stored(partition):
            books[partition].know(key, state)

    def aggregate_durations(batch: Batch) -> None:
        book = books[batch.partition]
        batch.left_early = book.begin_batch(worker.room.most)
        for record, src, event in read_events(batch, READ):
            with batch.refusing(record):
                book.advance(src)
                if event is not None:
                    book.leave(event, src)
        book.end_batch()

    worker.agent(EVENTS_PAGELEAVE, aggregate_durations, tables=[table], prepare=open_book)
