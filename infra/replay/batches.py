"""Events in the batches that one request carries, read ahead of the sending."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from infra.errors import UserError
from infra.replay.csv_header import Mapped
from infra.replay.recorded import Completion, Recorded
from infra.replay.source import Counted, open_source
from producer_api.batch import MAX_EVENTS
from producer_api.body import MAX_BATCH_BYTES


class Batch(NamedTuple):
    """Events of one file, in its order; `position` is how many bytes of all files are read."""

    name: str
    counted: Counted
    events: Sequence[Recorded]
    position: int

    def place(self, event: Recorded) -> str:
        """Return where an event is, for people."""
        return f"{self.name}, {self.counted} {event.line:,}"


def read_batches(
    paths: Iterable[Path],
    completion: Completion,
    limit: int = MAX_EVENTS,
    mapped: Mapped | None = None,
) -> Iterator[Batch]:
    """Yield all events of the files, at most `limit` in a batch; `mapped` renames their fields.

    `UserError` when a file cannot be read on; what was read before it is yielded first.
    """
    before = 0
    for path in paths:
        completion.begin_file()
        with open_source(path, mapped or {}) as source:
            for events in _cut(source.events(), completion.complete, limit):
                yield Batch(source.name, source.counted, events, before + source.position)
            before += source.position


def _cut(
    events: Iterator[Recorded], complete: Callable[[Recorded], Recorded], limit: int
) -> Iterator[Sequence[Recorded]]:
    batch: list[Recorded] = []
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
    """Yield the batches, each read while the one before is sent; a reader's error is raised here.

    A pipe that brings nothing may hold a read up for good: nothing waits for its thread.
    """
    coming = _next(batches)
    try:
        while (batch := await coming) is not None:
            coming = _next(batches)
            yield batch
    finally:
        coming.cancel()


def _next(batches: Iterator[Batch]) -> asyncio.Future[Batch | None]:
    """Read the next batch, None after the last, in a thread that does not delay Python's end."""
    loop = asyncio.get_running_loop()
    coming: asyncio.Future[Batch | None] = loop.create_future()

    def settle(batch: Batch | None, error: Exception | None) -> None:
        if coming.cancelled():
            return
        if error is None:
            coming.set_result(batch)
        else:
            coming.set_exception(error)

    def read() -> None:
        batch, failure = None, None
        try:
            batch = next(batches, None)
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            failure = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, batch, failure)

    threading.Thread(target=read, name="replay-reader", daemon=True).start()
    return coming
