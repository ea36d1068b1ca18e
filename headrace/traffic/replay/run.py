"""Run a replay: read events, send them at the requested rate, and count the results."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from headrace.errors import UserError
from headrace.traffic.replay.batches import Batch, read_ahead, read_batches
from headrace.traffic.replay.csv_header import FieldMap
from headrace.traffic.replay.dry_run import dry_run
from headrace.traffic.replay.import_windows import import_windows
from headrace.traffic.replay.progress import ReplayScreen
from headrace.traffic.replay.recorded_event import EventCompleter, RecordedEvent
from headrace.traffic.replay.rejects import WriteReject
from headrace.traffic.replay.report import Report
from headrace.traffic.replay.sender import NotAcceptedError, Result, Send, Sender
from producer_api.events.batch import MAX_EVENTS

#: With a rate, batches are small enough for this many requests per second.
_REQUESTS_PER_SECOND = 5


@dataclass(frozen=True, slots=True)
class Options:
    """The files to send, and the server.

    `rate` is in events per second, or None for no limit. With a `token`, import windows are opened
    at the URL `query`, by default `base`, so that timestamps are not clamped.
    """

    paths: Sequence[Path]
    base: str
    rate: int | None = None
    site_id: str | None = None
    token: str | None = None
    query: str | None = None
    is_dry_run: bool = False
    field_map: FieldMap = field(default_factory=dict)


class RateLimiter:
    """Limits events to `rate` per second, without bursts after a delay."""

    def __init__(
        self,
        rate: int | None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate = rate
        self._now = now
        self._sleep = sleep
        self._next_at = now()

    @property
    def batch_size(self) -> int:
        """The maximum number of events per request."""
        if self._rate is None:
            return MAX_EVENTS
        return max(1, min(MAX_EVENTS, self._rate // _REQUESTS_PER_SECOND))

    async def wait(self, count: int) -> None:
        """Wait until the next `count` events may be sent."""
        if self._rate is None:
            return
        if (wait := self._next_at - self._now()) > 0:
            await self._sleep(wait)
        self._next_at = max(self._next_at, self._now()) + count / self._rate


async def replay(
    options: Options, report: Report, screen: ReplayScreen, reject: WriteReject | None = None
) -> None:
    """Send all events of the files in order; count the results in `report`.

    `reject` is called with each rejected event. Raises `UserError`, with the location, if a file
    cannot be read or events are not accepted.
    """
    if options.is_dry_run:
        await _send_all(dry_run(clamps=options.token is None), options, report, screen, reject)
        return
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2)) as session,
        import_windows(session, options.query or options.base, options.token) as windows,
    ):
        open_for = None if windows is None else windows.open_for
        sender = Sender(session, options.base, screen.waiting, open_for)
        await _send_all(sender.send, options, report, screen, reject)


async def _send_all(
    send: Send, options: Options, report: Report, screen: ReplayScreen, reject: WriteReject | None
) -> None:
    limiter = RateLimiter(None if options.is_dry_run else options.rate)
    completer = EventCompleter(options.site_id)
    batches = read_batches(options.paths, completer, limiter.batch_size, options.field_map)
    async with aclosing(read_ahead(batches)) as ahead:
        async for batch in ahead:
            await limiter.wait(len(batch.events))
            await _send(send, batch, report, reject)
            screen.show(report, batch.position)


async def _send(send: Send, batch: Batch, report: Report, reject: WriteReject | None) -> None:
    def count(event: RecordedEvent, result: Result) -> None:
        location = batch.location(event)
        report.count(location, result, has_time=event.has_time)
        if reject is not None and result.status != "accepted":
            reject(event, result.code, result.error, location)

    pending: dict[int, RecordedEvent] = {}
    for event in batch.events:
        if event.problem is None:
            pending[len(pending)] = event
        else:
            count(event, Result("rejected", event.problem.code, event.problem.error))
    try:
        if pending:
            await send(
                [event.data for event in pending.values()],
                lambda index, result: count(pending.pop(index), result),
            )
    except (NotAcceptedError, UserError) as error:
        if not report.accepted and isinstance(error, UserError):
            raise
        stopped_at = batch.location(next(iter(pending.values()), batch.events[-1]))
        raise UserError(
            f"Stopped at {stopped_at}: {error}. "
            "Run the same command again: events that were accepted are deduplicated"
        ) from error
