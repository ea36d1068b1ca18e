"""A whole replay: read, send at the requested rate, count."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from infra.errors import UserError
from infra.replay.batches import Batch, read_ahead, read_batches
from infra.replay.csv_header import Mapped
from infra.replay.dry_run import dry_run
from infra.replay.recorded import Completion, Recorded
from infra.replay.rejects import WriteReject
from infra.replay.report import Report
from infra.replay.screen import ReplayScreen
from infra.replay.sender import NotTakenError, Result, Send, Sender
from infra.replay.windows import import_windows
from producer_api.batch import MAX_EVENTS

#: At a rate, requests are that much smaller that events still flow evenly.
_REQUESTS_A_SECOND = 5


@dataclass(frozen=True, slots=True)
class Options:
    """What to send, and where to.

    `rate` is events a second, None as fast as it goes. With a `token`, timestamps are kept by
    import windows, opened at `query` or else at `base`. `mapped` is from their names of fields
    to ours.
    """

    paths: Sequence[Path]
    base: str
    rate: int | None = None
    site_id: str | None = None
    token: str | None = None
    query: str | None = None
    is_dry_run: bool = False
    mapped: Mapped = field(default_factory=dict)


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
    def limit(self) -> int:
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


async def replay(
    options: Options, report: Report, screen: ReplayScreen, reject: WriteReject | None = None
) -> None:
    """Send all events of the files, in order; `report` counts them as they are settled.

    `reject` is given those that are rejected. `UserError` says how far it came when a file cannot
    be read or events are not taken.
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
    pace = Pace(None if options.is_dry_run else options.rate)
    completion = Completion(options.site_id)
    batches = read_batches(options.paths, completion, pace.limit, options.mapped)
    async with aclosing(read_ahead(batches)) as ahead:
        async for batch in ahead:
            await pace.wait(len(batch.events))
            await _send(send, batch, report, reject)
            screen.show(report, batch.position)


async def _send(send: Send, batch: Batch, report: Report, reject: WriteReject | None) -> None:
    def count(event: Recorded, result: Result) -> None:
        place = batch.place(event)
        report.count(place, result, has_time=event.has_time)
        if reject is not None and result.status != "accepted":
            reject(event, result.code, result.error, place)

    unsettled: dict[int, Recorded] = {}
    for event in batch.events:
        if event.problem is None:
            unsettled[len(unsettled)] = event
        else:
            count(event, Result("rejected", event.problem.code, event.problem.error))
    try:
        if unsettled:
            await send(
                [event.data for event in unsettled.values()],
                lambda index, result: count(unsettled.pop(index), result),
            )
    except (NotTakenError, UserError) as error:
        if not report.accepted and isinstance(error, UserError):
            raise
        raise UserError(
            f"Stopped at {batch.place(next(iter(unsettled.values()), batch.events[-1]))}: {error}. "
            "Run the same command again: what was accepted before counts once"
        ) from error
