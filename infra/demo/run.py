"""A demo from its first visitor to the last event: as time goes by, or at a rate."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import aiohttp
import msgspec

from infra.demo.crowd import Crowd, Happening
from infra.demo.screen import DemoScreen
from infra.replay.report import Report
from infra.replay.run import Pace
from infra.replay.sender import Result, Sender
from producer_api.batch import MAX_EVENTS

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
    batches = _batches(crowd.happenings(), options, pace.most)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        sender = Sender(session, options.base, screen.waiting)
        for batch in batches:
            if options.rate is None:
                await clock.wait_until(batch[-1].at)
            await pace.wait(len(batch))
            await _send(sender, batch, report)
            screen.show(report, crowd.present, batch[-1].event)


def _batches(
    happenings: Iterator[Happening], options: Options, most: int
) -> Iterator[list[Happening]]:
    """Yield what is sent together: what happens at about the same time, or as the rate asks."""
    left = options.events
    batch: list[Happening] = []
    for one in happenings:
        if batch and _is_whole(batch, one, options.rate, most):
            yield batch
            batch = []
        batch.append(one)
        if left is not None:
            left -= 1
            if not left:
                break
    yield batch


def _is_whole(batch: list[Happening], coming: Happening, rate: int | None, most: int) -> bool:
    if len(batch) >= min(most, MAX_EVENTS):
        return True
    return rate is None and coming.at - batch[0].at > _TOGETHER_SECONDS


async def _send(sender: Sender, batch: list[Happening], report: Report) -> None:
    def settle(index: int, result: Result) -> None:
        report.count(batch[index].event["event_id"], result)

    await sender.send([msgspec.json.encode(one.event) for one in batch], settle)
