"""Events in the batches that one request carries, read ahead of the sending."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from infra.errors import UserError
from infra.replay.recorded import Recorded
from infra.replay.source import Counted, open_source
from producer_api.batch import MAX_EVENTS
from producer_api.body import MAX_BATCH_BYTES

#: Batches that wait, read and not sent.
_AHEAD = 2


class Batch(NamedTuple):
    """Events of one file, in its order; `position` is how many of its bytes are read by now."""

    name: str
    counted: Counted
    events: Sequence[Recorded]
    position: int

    def place(self, event: Recorded) -> str:
        """Return where an event is, for people."""
        return f"{self.name}, {self.counted} {event.line:,}"


def read_batches(
    paths: Iterable[Path], complete: Callable[[bytes], bytes], most: int = MAX_EVENTS
) -> Iterator[Batch]:
    """Yield all events of the files, `most` in a batch at most.

    `UserError` when a file cannot be read on; what was read before it is yielded first.
    """
    for path in paths:
        with open_source(path) as source:
            for events in _cut(source.events(), complete, most):
                yield Batch(source.name, source.counted, events, source.position)


def _cut(
    events: Iterator[Recorded], complete: Callable[[bytes], bytes], most: int
) -> Iterator[Sequence[Recorded]]:
    batch: list[Recorded] = []
    size = 0
    trouble = None
    try:
        for line, data in events:
            event = Recorded(line, complete(data))
            size += len(event.data) + 1
            if batch and (len(batch) == most or size > MAX_BATCH_BYTES):
                yield batch
                (batch, size) = ([], len(event.data) + 1)
            batch.append(event)
    except UserError as error:
        trouble = error
    if batch:
        yield batch
    if trouble is not None:
        raise trouble


async def read_ahead(batches: Iterator[Batch]) -> AsyncGenerator[Batch]:
    """Yield the batches, while a thread reads the next ones; its error is raised here.

    The thread may be held up for good, by a pipe that brings nothing: nobody waits for it.
    """
    ready: asyncio.Queue[Batch | Exception | None] = asyncio.Queue()
    room = threading.Semaphore(_AHEAD)
    is_over = threading.Event()
    loop = asyncio.get_running_loop()

    def put(item: Batch | Exception | None) -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(ready.put_nowait, item)

    def read() -> None:
        try:
            for batch in batches:
                put(batch)
                room.acquire()
                if is_over.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            put(error)
        else:
            put(None)

    threading.Thread(target=read, name="replay-reader", daemon=True).start()
    try:
        while (item := await ready.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
            room.release()
    finally:
        is_over.set()
        room.release()
