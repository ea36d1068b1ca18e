"""Floods: events in large batches, as fast as a stack accepts them or at a rate."""

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
_PER_REQUEST = 500
#: Before events that were not acknowledged are sent again.
_PAUSE_SECONDS = 0.2
_TIMEOUT = aiohttp.ClientTimeout(total=30)

Events = Iterator[Sent]


def pageviews(event: Callable[[int], Event]) -> Events:
    """Yield endless pageviews; `event` returns the site and session of each by its number."""
    for number in count():
        event_id = str(uuid4())
        body = {"type": "pageview", "path": "/flood", "event_id": event_id, **event(number)}
        yield Sent(event_id, body, is_valid=True)


def flood(stack: Stack, ledger: Ledger, events: Events, number: int) -> None:
    """Send `number` events as fast as possible; return when all are acknowledged."""
    _Flood(stack, ledger, islice(events, number), math.inf).run()


@contextmanager
def flooding(stack: Stack, ledger: Ledger, events: Events, per_second: float) -> Iterator[None]:
    """Send events at a rate, in a background thread, during the block."""
    background = _Flood(stack, ledger, events, per_second)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(background.run)
        try:
            yield
        finally:
            background.is_over = True
        future.result()


class _Flood:
    """Clients that share an iterator of events and record every outcome."""

    def __init__(self, stack: Stack, ledger: Ledger, events: Events, per_second: float) -> None:
        self.is_over = False
        self._url = f"{stack.url}/api/events"
        self._ledger = ledger
        self._events = events
        self._per_second = per_second
        self._started_at = time.monotonic()
        self._sent = 0

    def run(self) -> None:
        """Send until the events end or `is_over` is set."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session, asyncio.TaskGroup() as group:
            for _ in range(_CLIENTS):
                group.create_task(self._client(session))

    async def _client(self, session: aiohttp.ClientSession) -> None:
        while not self.is_over and (request := list(islice(self._events, _PER_REQUEST))):
            due = self._started_at + self._sent / self._per_second
            self._sent += len(request)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            while request:
                request = await self._not_acknowledged(session, request)
                await asyncio.sleep(_PAUSE_SECONDS if request else 0)

    async def _not_acknowledged(
        self, session: aiohttp.ClientSession, request: list[Sent]
    ) -> list[Sent]:
        """Send a batch; return the events that must be sent again."""
        bodies = [sent.body for sent in request]
        try:
            async with session.post(self._url, json=bodies) as response:
                outcomes = outcomes_of(response.status, await response.json(), len(bodies))
        except (aiohttp.ClientError, OSError, TimeoutError):
            outcomes = [Outcome.UNKNOWN] * len(bodies)
        results = list(zip(request, outcomes, strict=True))
        for sent, outcome in results:
            self._ledger.record(sent, outcome)
        return [sent for sent, outcome in results if outcome is not Outcome.ACKNOWLEDGED]
