"""The ASGI application: which path answers what."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import uuid_utils
from prometheus_client import CollectorRegistry

from producer_api import answers, body, cors
from producer_api.accumulator import Accumulator, Transport
from producer_api.answers import Answer
from producer_api.batch import split
from producer_api.body import Disconnected, Receive
from producer_api.direct import NEVER_CLAMP
from producer_api.draft import Surroundings
from producer_api.import_sites import ImportSites
from producer_api.intake import Intake
from producer_api.kafka import Link
from producer_api.metrics import Metrics
from producer_api.openapi import document
from producer_api.pages import pages
from producer_api.paths import EVENT_PATH, EVENT_PATHS, is_of_events, route_path
from producer_api.rejected import Unread, shown
from schemas.operations import Operations
from schemas.reject_reasons import RejectReason
from schemas.settings import Settings
from schemas.topics import EVENTS_RAW

Send = Callable[[Any], Any]
Headers = Mapping[bytes, bytes]
#: What runs while the role does, until it is cancelled.
Background = Callable[[], Coroutine[Any, Any, None]]

#: What a client that was refused may still send, so that it reads the answer before the end:
#: most clients read nothing before they have sent everything.
_LINGER_BYTES = 64 * 1024 * 1024
_LINGER_SECONDS = 10.0
_STOP_SECONDS = 10.0


class Connection(Transport, Protocol):
    """What the application needs of Kafka: `kafka.Link`, or the fake of the tests."""

    @property
    def trouble(self) -> str | None:
        """Why events cannot be sent, as a sentence; None while they can."""

    def start(self, opened: Callable[[int], None]) -> None:
        """Begin to connect; `opened` is told the number of partitions."""

    async def stop(self) -> None:
        """Close the connection."""


class Api:
    """The role `api` as an ASGI application."""

    def __init__(
        self,
        connection: Connection,
        accumulator: Accumulator,
        around: Surroundings,
        metrics: Metrics,
        ready_checks: Sequence[Callable[[], str | None]],
    ) -> None:
        self._connection = connection
        self._accumulator = accumulator
        self._metrics = metrics
        #: Sites whose events keep timestamps of any age.
        self.import_sites = around.import_sites
        #: A server may use it for plain requests, without ASGI.
        self.intake = Intake(around, accumulator, metrics)
        self.operations = Operations(metrics.registry, [self._own_trouble, *ready_checks], document)
        self._pages = pages(self.operations, metrics, self._lifespan)
        self._background: list[Background] = []
        self._tasks: list[asyncio.Task[None]] = []

    def run_along(self, background: Background) -> None:
        """Run something else from the role's start to its stop; call it before `start`."""
        self._background.append(background)

    async def start(self) -> None:
        """Begin to connect to Kafka; called by the lifespan, or by who serves this with others."""
        self._connection.start(self._accumulator.open)
        self._tasks = [asyncio.create_task(run()) for run in self._background]

    async def stop(self) -> None:
        """Send what waits, then close the connection; bounded, and called as `start` is."""
        for task in self._tasks:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._accumulator.drain()
                await self._connection.stop()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def drain(self) -> None:
        """Reject later requests; return when all earlier ones are answered."""
        await self.intake.drain()

    def describe(self, address: str) -> list[str]:
        """Return what is served at this address, for the log."""
        return [f"Events are taken at {address}/api/event; try {address}/docs"]

    def _own_trouble(self) -> str | None:
        if self.intake.is_draining:
            return "The server is shutting down"
        return self._connection.trouble

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._pages(scope, receive, send)
            return
        path = route_path(scope["path"])
        self.intake.begin()
        try:
            if is_of_events(path):
                answer = await self._answer(scope, path, receive)
                await _respond(answer, receive, send)
            else:
                await self._pages({**scope, "path": path}, receive, send)
        except Disconnected:
            pass
        finally:
            self.intake.end()

    @asynccontextmanager
    async def _lifespan(self, _: object) -> AsyncIterator[None]:
        await self.start()
        yield
        await self.stop()

    async def _answer(self, scope: Mapping[str, Any], path: str, receive: Receive) -> Answer:
        headers = dict(scope["headers"])
        try:
            answer = await self._route(scope, path, headers, receive)
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001 - the edge: counted, logged and answered
            rejected = self.intake.refuse(error)
            answer = answers.refusal(rejected)
            if isinstance(rejected, Unread) and _has_body(headers):
                answer = answer.closing()
        shared = cors.of_request(path, headers)
        return answer.with_headers(*shared) if shared else answer

    async def _route(
        self, scope: Mapping[str, Any], path: str, headers: Headers, receive: Receive
    ) -> Answer:
        if path not in EVENT_PATHS:
            raise Unread(RejectReason.NOT_FOUND, path=shown(path))
        method = scope["method"]
        if method == "OPTIONS":
            return cors.preflight(headers)
        if method != "POST":
            raise Unread(
                RejectReason.METHOD_NOT_ALLOWED, path=path, allowed=cors.METHODS, method=method
            )
        began = time.perf_counter()
        try:
            return await self._take(path, headers, receive, began)
        finally:
            self._metrics.tally.answer(time.perf_counter() - began)

    async def _take(self, path: str, headers: Headers, receive: Receive, began: float) -> Answer:
        if self.intake.is_draining:
            raise Unread(RejectReason.SHUTTING_DOWN)
        (name, never) = NEVER_CLAMP
        never_clamp = headers.get(name, b"").lower() == never
        if path == EVENT_PATH:
            event = await body.read_body(receive, headers, body.MAX_EVENT_BYTES)
            sent = self.intake.one(event, began, never_clamp=never_clamp)
            await asyncio.wait([sent.confirmed])
            return self.intake.accepted(sent)
        batch = await body.read_body(receive, headers, body.MAX_BATCH_BYTES)
        events = split(batch, headers.get(b"content-type", b""))
        results = await self.intake.many(events, never_clamp=never_clamp)
        return answers.json(results.status, results.body)


async def _respond(answer: Answer, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    if not answer.closes:
        await send({"type": "http.response.body", "body": answer.body})
        return
    # To close with input unread would reset the connection, and the client might never see
    # the answer.
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            await _discard(receive)
    await send({"type": "http.response.body", "body": b""})


async def _discard(receive: Receive) -> None:
    discarded = 0
    while discarded < _LINGER_BYTES:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return
        discarded += len(message.get("body", b""))


def _has_body(headers: Headers) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


def create_app(
    settings: Settings,
    *,
    ready_checks: Sequence[Callable[[], str | None]] = (),
    registry: CollectorRegistry | None = None,
    connection: Connection | None = None,
    now: Callable[[], int] = lambda: time.time_ns() // 1000,
) -> Api:
    """Wire the role. Each of `ready_checks` returns why another role is not ready, or None.

    `registry` is what /metrics exposes; `now` is microseconds since 1970.
    """
    deadline = settings.api.deadline_seconds
    link = connection or Link(settings.kafka, EVENTS_RAW.name, deadline)
    accumulator = Accumulator(
        EVENTS_RAW.name,
        link,
        deadline_seconds=deadline,
        max_waiting_bytes=settings.api.max_waiting_bytes,
    )
    sites = ImportSites(settings.imports.sites, now)
    around = Surroundings(now, lambda: str(uuid_utils.uuid7()), sites)
    metrics = Metrics(registry or CollectorRegistry(), lambda: accumulator.waiting_bytes)
    return Api(link, accumulator, around, metrics, ready_checks)
