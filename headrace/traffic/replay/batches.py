"""Read events in batches for one request each; read one batch ahead."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from headrace.errors import UserError
from headrace.traffic.replay.csv_header import FieldMap
from headrace.traffic.replay.recorded_event import EventCompleter, RecordedEvent
from headrace.traffic.replay.source import Unit, open_source
from producer_api.events.batch import MAX_EVENTS
from producer_api.http.body import MAX_BATCH_BYTES


class Batch(NamedTuple):
    """Events of one file, in order; `position` is the number of bytes read from all files."""

    name: str
    unit: Unit
    events: Sequence[RecordedEvent]
    position: int

    def location(self, event: RecordedEvent) -> str:
        """Return the file and line of an event, for messages."""
        return f"{self.name}, {self.unit} {event.line:,}"


def read_batches(
    paths: Iterable[Path],
    completer: EventCompleter,
    limit: int = MAX_EVENTS,
    field_map: FieldMap | None = None,
) -> Iterator[Batch]:
    """Yield all events of the files, at most `limit` per batch; `field_map` renames their fields.

    Raises `UserError` if a file cannot be read, after the events before the error were yielded.
    """
    before = 0
    for path in paths:
        completer.begin_file()
        with open_source(path, field_map or {}) as source:
            for events in _split(source.events(), completer.complete, limit):
                yield Batch(source.name, source.unit, events, before + source.position)
            before += source.position


def _split(
    events: Iterator[RecordedEvent], complete: Callable[[RecordedEvent], RecordedEvent], limit: int
) -> Iterator[Sequence[RecordedEvent]]:
    batch: list[RecordedEvent] = []
    size = 0
    failure = None
    try:
        for event in map(complete, events):
            size += len(event.data) + 1
            if batch and (len(batch) == limit or size > MAX_BATCH_BYTES):
                yield batch
                (batch, size) = ([], len(event.data) + 1)
            batch.append(event)
    except UserError as error:
        failure = error
    if batch:
        yield batch
    if failure is not None:
        raise failure


async def read_ahead(batches: Iterator[Batch]) -> AsyncGenerator[Batch]:
    """Yield the batches, and read the next one while the caller processes the last.

    Raises the errors of `batches`. A read from an idle pipe may block forever, so nothing waits for
    the thread that reads.
    """
    next_batch = _read_next(batches)
    try:
        while (batch := await next_batch) is not None:
            next_batch = _read_next(batches)
            yield batch
    finally:
        next_batch.cancel()


def _read_next(batches: Iterator[Batch]) -> asyncio.Future[Batch | None]:
    """Read the next batch, or None after the last, in a daemon thread."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Batch | None] = loop.create_future()

    def resolve(batch: Batch | None, error: Exception | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(batch)
        else:
            future.set_exception(error)

    def read() -> None:
        batch, failure = None, None
        try:
            batch = next(batches, None)
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            failure = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(resolve, batch, failure)

    threading.Thread(target=read, name="replay-reader", daemon=True).start()
    return future
