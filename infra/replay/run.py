"""A whole replay: read, send at the asked rate, count."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import uuid_utils

from infra.errors import UserError
from infra.replay.batches import Batch, read_ahead, read_batches
from infra.replay.recorded import Completion
from infra.replay.report import Report
from infra.replay.screen import ReplayScreen
from infra.replay.sender import NotTakenError, Result, Sender
from producer_api.batch import MAX_EVENTS

#: At a rate, requests are that much smaller that events still flow evenly.
_REQUESTS_A_SECOND = 5


@dataclass(frozen=True, slots=True)
class Options:
    """What to send, and where to; `rate` is events a second, None as fast as it goes."""

    paths: Sequence[Path]
    base: str
    rate: int | None = None
    site_id: str | None = None


class Pace:
    """Holds back what would go out faster than `rate` events a second; lost time stays lost."""

    def __init__(
        self,
        rate: int | None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate = rate
        self._now = now
        self._sleep = sleep
        self._free_at = now()

    @property
    def most(self) -> int:
        """How many events to send at once."""
        if self._rate is None:
            return MAX_EVENTS
        return max(1, min(MAX_EVENTS, self._rate // _REQUESTS_A_SECOND))

    async def wait(self, count: int) -> None:
        """Return when the next `count` events may be sent."""
        if self._rate is None:
            return
        if (ahead := self._free_at - self._now()) > 0:
            await self._sleep(ahead)
        self._free_at = max(self._free_at, self._now()) + count / self._rate


async def replay(options: Options, report: Report, screen: ReplayScreen) -> None:
    """Send all events of the files, in order; `report` counts them as they are settled.

    `UserError` says how far it came when a file cannot be read or events are not taken.
    """
    pace = Pace(options.rate)
    completion = Completion(options.site_id, lambda: str(uuid_utils.uuid7()))
    batches = read_batches(options.paths, completion.complete, pace.most)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
        aclosing(read_ahead(batches)) as ahead,
    ):
        sender = Sender(session, options.base, screen.waiting)
        done = _Done()
        async for batch in ahead:
            await pace.wait(len(batch.events))
            await _send(sender, batch, report)
            screen.show(report, done.position(batch))


class _Done:
    """Adds up the bytes of several files."""

    def __init__(self) -> None:
        self._before = 0
        self._last = Batch("", "line", (), 0)

    def position(self, batch: Batch) -> int:
        """Return how many bytes of all files are read with this batch."""
        if batch.position < self._last.position or batch.name != self._last.name:
            self._before += self._last.position
        self._last = batch
        return self._before + batch.position


async def _send(sender: Sender, batch: Batch, report: Report) -> None:
    unsettled = dict(enumerate(batch.events))

    def settle(index: int, result: Result) -> None:
        report.count(batch.place(unsettled.pop(index)), result)

    try:
        await sender.send([event.data for event in batch.events], settle)
    except (NotTakenError, UserError) as error:
        if not report.sent and isinstance(error, UserError):
            raise
        raise UserError(
            f"Stopped at {batch.place(next(iter(unsettled.values())))}: {error}. All before it was "
            f"sent. Of the events from there to {batch.counted} {batch.events[-1].line:,}, "
            f"{len(unsettled):,} may have been taken or not: send the file from there once more; "
            "an event that has its own event_id counts once"
        ) from error
