"""A demo from its first visitor to the last event: as time goes by, or at a rate."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from math import inf

import aiohttp
import msgspec

from infra.demo.crowd import Crowd, Happening
from infra.demo.screen import DemoScreen
from infra.replay.report import Report
from infra.replay.run import Pace
from infra.replay.sender import Result, Sender

#: What happens within so long is sent together: a live page moves four times a second.
_TOGETHER_SECONDS = 0.2
#: Lost time stays lost: after an outage nobody hurries.
_LATE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Options:
    """Where to; events a second, None as people go; how many events, None without end."""

    base: str
    rate: int | None = None
    events: int | None = None


class Clock:
    """When things of the model happen here."""

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._began = now()

    async def wait_until(self, at: float) -> None:
        """Return when so many seconds have passed since the start."""
        ahead = self._began + at - self._now()
        if ahead > 0:
            await self._sleep(ahead)
        elif ahead < -_LATE_SECONDS:
            self._began -= ahead


async def demo(
    options: Options, crowd: Crowd, report: Report, screen: DemoScreen, clock: Clock
) -> None:
    """Send what the crowd does; `report` counts it.

    `UserError` when no headrace answers, `NotTakenError` when it takes nothing for minutes.
    """
    pace = Pace(options.rate)
    batches = _batches(crowd.happenings(), options, pace.limit)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        sender = Sender(session, options.base, screen.waiting)
        for batch in batches:
            if options.rate is None:
                await clock.wait_until(batch[-1].at)
            await pace.wait(len(batch))
            await _send(sender, batch, report)
            screen.show(report, crowd.present, batch[-1].event)


def _batches(
    happenings: Iterator[Happening], options: Options, limit: int
) -> Iterator[list[Happening]]:
    """Yield what is sent together: what happens at about the same time, or as the rate asks."""
    seconds = _TOGETHER_SECONDS if options.rate is None else inf
    batch: list[Happening] = []
    for one in islice(happenings, options.events):
        if batch and (len(batch) == limit or one.at - batch[0].at > seconds):
            yield batch
            batch = []
        batch.append(one)
    yield batch


async def _send(sender: Sender, batch: list[Happening], report: Report) -> None:
    def settle(index: int, result: Result) -> None:
        report.count(batch[index].event["event_id"], result)

    await sender.send([msgspec.json.encode(one.event) for one in batch], settle)
