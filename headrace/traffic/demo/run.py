"""Run a demo: send simulated events in real time or at a fixed rate."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from math import inf

import aiohttp
import msgspec

from headrace.errors import UserError
from headrace.traffic.demo.progress import DemoScreen
from headrace.traffic.demo.simulation import Simulation, TimedEvent
from headrace.traffic.replay.report import Report
from headrace.traffic.replay.run import RateLimiter
from headrace.traffic.replay.sender import Result, Sender

#: Events within this time are sent in one batch; the dashboard updates four times a second.
_BATCH_SECONDS = 0.2
#: After a longer delay, later events are delayed as well, instead of being sent in a burst.
_MAX_DELAY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Options:
    """The server's base URL, the events per second (None: real time), and the number of events."""

    base: str
    rate: int | None = None
    events: int | None = None


class Clock:
    """Maps simulated time to real time."""

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._began = now()

    async def wait_until(self, at: float) -> None:
        """Wait until `at` seconds after the start."""
        wait = self._began + at - self._now()
        if wait > 0:
            await self._sleep(wait)
        elif wait < -_MAX_DELAY_SECONDS:
            self._began -= wait


async def demo(
    options: Options, simulation: Simulation, report: Report, screen: DemoScreen, clock: Clock
) -> None:
    """Send the events of the simulation; count the results in `report`.

    Raises `UserError` if no server responds, or if it rejects all events of the first batch;
    `NotAcceptedError` if it accepts nothing for minutes.
    """
    limiter = RateLimiter(options.rate)
    batches = _batches(simulation.events(), options, limiter.batch_size)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        sender = Sender(session, options.base, screen.waiting)
        for batch in batches:
            if options.rate is None:
                await clock.wait_until(batch[-1].at)
            await limiter.wait(len(batch))
            await _send(sender, batch, report)
            _check_accepted(report)
            screen.show(report, simulation.active_visitors, batch[-1].event)


def _batches(
    events: Iterator[TimedEvent], options: Options, limit: int
) -> Iterator[list[TimedEvent]]:
    """Yield batches of events: those within `_BATCH_SECONDS`, or `limit` events with a rate."""
    seconds = _BATCH_SECONDS if options.rate is None else inf
    batch: list[TimedEvent] = []
    for timed in islice(events, options.events):
        if batch and (len(batch) == limit or timed.at - batch[0].at > seconds):
            yield batch
            batch = []
        batch.append(timed)
    yield batch


async def _send(sender: Sender, batch: list[TimedEvent], report: Report) -> None:
    def count(index: int, result: Result) -> None:
        report.count(batch[index].event["event_id"], result)

    await sender.send([msgspec.json.encode(timed.event) for timed in batch], count)


def _check_accepted(report: Report) -> None:
    """Raise `UserError` if every event was rejected, as if the site is not registered."""
    if report.rejections and not report.accepted:
        first = next(iter(report.rejections.values()))
        raise UserError(f"The server rejects the events of the demo: {first.sentence}")
