"""Clients that send all the time, from a thread of their own, and write every answer down."""

import asyncio
import random
import threading
import time
import urllib.error
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, Self
from uuid import uuid4

import aiohttp

from tests.e2e.stack import Stack
from tests.faults.ledger import Ledger, Outcome
from tests.faults.traffic import Sent, Traffic
from tests.fixtures.waiting import eventually

_CLIENTS = 8
#: Some 400 events a second: several scenarios share a machine.
_PAUSE_SECONDS = 0.3
#: Longer than any answer may take (10 s): that it came late must be seen, not cut off.
_TIMEOUT_SECONDS = 30
_SENT_AGAIN = 0.05

_ACKNOWLEDGED, _REFUSED, _UNKNOWN = Outcome.ACKNOWLEDGED, Outcome.REFUSED, Outcome.UNKNOWN


class Load:
    """A load on a stack while the block lasts.

    Of what was acknowledged one in twenty is sent once more, as is half of what nobody knows
    of, with the same `event_id`. `url` is where the events go, when not to the stack's own server.
    """

    def __init__(
        self, stack: Stack, seed: int, *, url: str | None = None, ledger: Ledger | None = None
    ) -> None:
        self.ledger = Ledger() if ledger is None else ledger
        #: How many requests had which status; 0 is one without an answer.
        self.statuses: Counter[int] = Counter()
        #: The longest time that an answer took.
        self.slowest_seconds = 0.0
        self._stack = stack
        self._url = url or stack.url
        self._traffic = Traffic(seed)
        self._choose = random.Random(seed)  # noqa: S311
        self._again: deque[list[Sent]] = deque()
        self._acknowledged = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        assert self._failure is None, f"the load itself failed: {self._failure!r}"

    def more(self, count: int, within_seconds: float = 90) -> None:
        """Wait until so many more events were acknowledged."""
        wanted = self._acknowledged + count
        eventually(
            lambda: self._acknowledged >= wanted,
            within_seconds=within_seconds,
            what=f"{count} more events are acknowledged; answers so far: {self.statuses}",
        )

    def probe(self, within_seconds: float = 120) -> float:
        """Send one event until it is taken; return the seconds until its session is there."""
        began = time.monotonic()
        event_id = str(uuid4())
        session = f"probe-{event_id}"
        body = {"type": "pageview", "site_id": "probe", "session_id": session, "event_id": event_id}
        eventually(
            lambda: self._post(Sent(event_id, body, is_valid=True)),
            within_seconds=within_seconds,
            what="an event is accepted",
        )
        eventually(
            lambda: self._stack.rows(
                f"SELECT 1 FROM sessions WHERE session_id = '{session}'"  # noqa: S608 - ours
            ),
            within_seconds=within_seconds,
            what="an event that was accepted has become a session",
        )
        return time.monotonic() - began

    def _post(self, sent: Sent) -> bool:
        try:
            status, _ = self._stack.post(sent.body)
        except (urllib.error.URLError, OSError):
            status = 0
        self.ledger.note(sent, _ACKNOWLEDGED if status == 202 else _UNKNOWN)
        return status == 202

    # -- in the thread

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                asyncio.TaskGroup() as all_,
            ):
                for _ in range(_CLIENTS):
                    all_.create_task(self._client(session))
        except BaseExceptionGroup as error:
            self._failure = error.exceptions[0]

    async def _client(self, session: aiohttp.ClientSession) -> None:
        while not self._over.is_set():
            request = self._again.popleft() if self._again else self._traffic.request()
            began = time.time()
            outcomes = await self._send(session, request)
            for sent, outcome in zip(request, outcomes, strict=True):
                self.ledger.note(sent, outcome, began)
            self._acknowledged += outcomes.count(_ACKNOWLEDGED)
            self._maybe_again(request, outcomes)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _send(self, session: aiohttp.ClientSession, request: list[Sent]) -> list[Outcome]:
        bodies = [sent.body for sent in request]
        is_single = len(bodies) == 1
        path, body = ("/api/event", bodies[0]) if is_single else ("/api/events", bodies)
        began = time.monotonic()
        try:
            async with session.post(self._url + path, json=body) as response:
                answer: Any = await response.json()
                status = response.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            status, answer = 0, {}
        if status or time.monotonic() - began > _TIMEOUT_SECONDS / 2:
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
        self.statuses[status] += 1
        return outcomes_of(status, answer, len(request))

    def _maybe_again(self, request: list[Sent], outcomes: Sequence[Outcome]) -> None:
        likelihood = 0.5 if _UNKNOWN in outcomes else _SENT_AGAIN
        if self._choose.random() < likelihood:
            self._again.append(request)


def outcomes_of(status: int, answer: Any, count: int) -> list[Outcome]:
    """Return what a client knows of each of `count` events by the answer to their request."""
    if "results" in answer:
        by_status = {"accepted": _ACKNOWLEDGED, "rejected": _REFUSED, "failed": _UNKNOWN}
        return [by_status[result["status"]] for result in answer["results"]]
    if status == 202:
        return [_ACKNOWLEDGED] * count
    return [_REFUSED if 400 <= status < 500 else _UNKNOWN] * count
