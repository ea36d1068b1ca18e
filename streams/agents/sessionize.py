"""events-session → sessions: visits, which are both the state and the result."""

import asyncio

from schemas.codec import decode, encode, projection
from schemas.records import RawEvent, SessionState
from schemas.topics import EVENTS_SESSION, SESSIONS
from streams.agents.reading import read_events
from streams.domain.session_book import SessionBook
from streams.domain.sessions import SessionRules
from streams.engine.batch import Batch
from streams.engine.worker import Worker

#: What the rules look at, beside what every event has.
READ = projection(RawEvent, "visitor_id", "user_id", "url", "path", "referrer", "utm")


def register(worker: Worker, rules: SessionRules) -> None:
    """Register the agent and its table."""
    table = worker.table(SESSIONS, encode, lambda value: decode(value, SessionState))
    books: dict[int, SessionBook] = {}

    async def open_book(partition: int) -> None:
        books[partition] = SessionBook(table.of(partition), rules)
        async for key, state in table.stored(partition):
            books[partition].know(key, state)

    async def sessionize(batch: Batch) -> None:
        book = books[batch.partition]
        batch.left_early = book.begin_batch(worker.room.most)
        for record, src, event in read_events(batch, READ):
            while book.advance(src):  # noqa: ASYNC110 - there is nothing to wait for
                await asyncio.sleep(0)  # a loop that stands still is taken for a frozen one
            if event is not None:
                with batch.refusing(record):
                    book.apply(record.key, event, src)

    worker.agent(EVENTS_SESSION, sessionize, tables=[table], prepare=open_book)
