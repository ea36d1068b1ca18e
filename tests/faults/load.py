"""Clients that send continuously, in a background thread, and record every outcome."""

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
#: About 400 events per second, because several scenarios share a machine.
_PAUSE_SECONDS = 0.3
#: Longer than the server's limit of 10 s, to detect late responses.
_TIMEOUT_SECONDS = 30
_RESEND_RATE = 0.05

_ACKNOWLEDGED, _REFUSED, _UNKNOWN = Outcome.ACKNOWLEDGED, Outcome.REJECTED, Outcome.UNKNOWN


class Load:
    """A load on a stack during the block.

    One in 20 acknowledged requests is sent again with the same event ids, and half of those with an
    unknown outcome. Each goes to the current URL of the stack, or to `url`, another server. A
    response `internal_error`, which is a bug of the server, fails the test.
    """

    def __init__(
        self, stack: Stack, seed: int, *, url: str | None = None, ledger: Ledger | None = None
    ) -> None:
        self.ledger = Ledger() if ledger is None else ledger
        #: The number of requests by status; 0 is without a response.
        self.statuses: Counter[int] = Counter()
        #: The longest response time.
        self.slowest_seconds = 0.0
        self._stack = stack
        self._url = url
        self._traffic = Traffic(seed)
        self._choose = random.Random(seed)  # noqa: S311
        self._resends: deque[list[Sent]] = deque()
        self._acknowledged = 0
        #: A token for each request in progress.
        self._sending: set[object] = set()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        assert self._failure is None, f"the load itself failed: {self._failure!r}"

    def more(self, count: int, within_seconds: float = 90) -> None:
        """Wait until `count` more events are acknowledged."""
        target = self._acknowledged + count
        eventually(
            lambda: self._acknowledged >= target,
            within_seconds=within_seconds,
            what=f"{count} more events are acknowledged; statuses so far: {self.statuses}",
        )

    def settle(self, within_seconds: float = 60) -> None:
        """Wait until the requests that are in progress now have ended."""
        now = self._sending.copy()
        eventually(
            lambda: not now & self._sending,
            within_seconds=within_seconds,
            what="the requests in progress have ended",
        )

    def probe(self, within_seconds: float = 120) -> float:
        """Send an event until it is accepted; return the seconds until its session is stored."""
        sent_at = time.monotonic()
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
        return time.monotonic() - sent_at

    def _post(self, sent: Sent) -> bool:
        try:
            status, _ = self._stack.post(sent.body)
        except (urllib.error.URLError, OSError):
            status = 0
        self.ledger.record(sent, _ACKNOWLEDGED if status == 202 else _UNKNOWN)
        return status == 202

    # -- in the background thread

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                asyncio.TaskGroup() as group,
            ):
                for _ in range(_CLIENTS):
                    group.create_task(self._client(session))
        except BaseExceptionGroup as error:
            self._failure = error.exceptions[0]

    async def _client(self, session: aiohttp.ClientSession) -> None:
        while not self._is_over.is_set():
            request = self._resends.popleft() if self._resends else self._traffic.request()
            sent_at = time.time()
            outcomes = await self._send(session, request)
            for sent, outcome in zip(request, outcomes, strict=True):
                self.ledger.record(sent, outcome, sent_at)
            self._acknowledged += outcomes.count(_ACKNOWLEDGED)
            self._maybe_resend(request, outcomes)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _send(self, session: aiohttp.ClientSession, request: list[Sent]) -> list[Outcome]:
        bodies = [sent.body for sent in request]
        is_single = len(bodies) == 1
        path, body = ("/api/event", bodies[0]) if is_single else ("/api/events", bodies)
        sent_at, token = time.monotonic(), object()
        self._sending.add(token)  # before it takes the URL
        try:
            async with session.post((self._url or self._stack.url) + path, json=body) as response:
                content: Any = await response.json()
                status = response.status
                assert "internal_error" not in await response.text(), content
        except (aiohttp.ClientError, OSError, TimeoutError):
            status, content = 0, {}
        finally:
            self._sending.discard(token)
        if status or time.monotonic() - sent_at > _TIMEOUT_SECONDS / 2:
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - sent_at)
        self.statuses[status] += 1
        return outcomes_of(status, content, len(request))

    def _maybe_resend(self, request: list[Sent], outcomes: Sequence[Outcome]) -> None:
        likelihood = 0.5 if _UNKNOWN in outcomes else _RESEND_RATE
        if self._choose.random() < likelihood:
            self._resends.append(request)


def outcomes_of(status: int, content: Any, count: int) -> list[Outcome]:
    """Return the outcome of each of `count` events from the response to their request."""
    if "results" in content:
        by_status = {"accepted": _ACKNOWLEDGED, "rejected": _REFUSED, "failed": _UNKNOWN}
        return [by_status[result["status"]] for result in content["results"]]
    if status == 202:
        return [_ACKNOWLEDGED] * count
    return [_REFUSED if 400 <= status < 500 else _UNKNOWN] * count
