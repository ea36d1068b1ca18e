"""Floods: events in large batches, as fast as a stack takes them or so many a second."""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count, islice
from uuid import uuid4

import aiohttp

from tests.e2e.stack import Stack
from tests.faults.ledger import Ledger, Outcome
from tests.faults.load import outcomes_of
from tests.faults.traffic import Event, Sent

_CLIENTS = 4
_A_REQUEST = 500
#: Before what was not acknowledged is sent again.
_PAUSE_SECONDS = 0.2
_TIMEOUT = aiohttp.ClientTimeout(total=30)

Events = Iterator[Sent]


def pageviews(event: Callable[[int], Event]) -> Events:
    """Make up pageviews without end; `event` gives site and session of each by its number."""
    for number in count():
        event_id = str(uuid4())
        body = {"type": "pageview", "path": "/flood", "event_id": event_id, **event(number)}
        yield Sent(event_id, body, is_valid=True)


def flood(stack: Stack, ledger: Ledger, events: Events, how_many: int) -> None:
    """Send so many events as fast as they are taken; return when all are acknowledged."""
    _Flood(stack, ledger, islice(events, how_many), math.inf).run()


@contextmanager
def flooding(stack: Stack, ledger: Ledger, events: Events, a_second: float) -> Iterator[None]:
    """Send so many events a second, from a thread of its own, while the block lasts."""
    it = _Flood(stack, ledger, events, a_second)
    with ThreadPoolExecutor(1) as pool:
        ran = pool.submit(it.run)
        try:
            yield
        finally:
            it.is_over = True
        ran.result()


class _Flood:
    """Some clients that share a supply of events and write every answer down."""

    def __init__(self, stack: Stack, ledger: Ledger, events: Events, a_second: float) -> None:
        self.is_over = False
        self._url = f"{stack.url}/api/events"
        self._ledger = ledger
        self._events = events
        self._a_second = a_second
        self._began = time.monotonic()
        self._sent = 0

    def run(self) -> None:
        """Send until the events end, or it is over."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session, asyncio.TaskGroup() as all_:
            for _ in range(_CLIENTS):
                all_.create_task(self._client(session))

    async def _client(self, session: aiohttp.ClientSession) -> None:
        while not self.is_over and (request := list(islice(self._events, _A_REQUEST))):
            due = self._began + self._sent / self._a_second
            self._sent += len(request)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            while request:
                request = await self._not_acknowledged(session, request)
                await asyncio.sleep(_PAUSE_SECONDS if request else 0)

    async def _not_acknowledged(
        self, session: aiohttp.ClientSession, request: list[Sent]
    ) -> list[Sent]:
        """Send a batch; return those of it that must be sent again."""
        bodies = [sent.body for sent in request]
        try:
            async with session.post(self._url, json=bodies) as response:
                outcomes = outcomes_of(response.status, await response.json(), len(bodies))
        except (aiohttp.ClientError, OSError, TimeoutError):
            outcomes = [Outcome.UNKNOWN] * len(bodies)
        told = list(zip(request, outcomes, strict=True))
        for sent, outcome in told:
            self._ledger.note(sent, outcome)
        return [sent for sent, outcome in told if outcome is not Outcome.ACKNOWLEDGED]
