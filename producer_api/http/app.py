"""The ASGI application of the role `api`: routes and lifecycle."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Protocol

from producer_api.access.control import AccessControl
from producer_api.events.derive.salts import Salts
from producer_api.events.draft import EventContext
from producer_api.http.body import Disconnected, Receive
from producer_api.http.body_bytes import BodyBytes
from producer_api.http.clients import Clients
from producer_api.http.dialects import DialectIntake
from producer_api.http.event_endpoints import EventEndpoints
from producer_api.http.intake import Intake
from producer_api.http.lingering import Send, send_response
from producer_api.http.metrics import Metrics
from producer_api.http.openapi import document
from producer_api.http.paths import is_event_path, metric_label, route_path
from producer_api.http.routes import pages
from producer_api.produce.accumulator import Accumulator, Transport
from producer_api.produce.salt_keeper import keep_salts
from schemas.operational_endpoints import OPERATION_PATHS, Operations
from schemas.reject_reasons import RejectReason

#: A task that runs from the role's start until it is cancelled.
Background = Callable[[], Coroutine[Any, Any, None]]

_STOP_SECONDS = 10.0
#: Between two checks whether the role has started, which takes about a second.
_POLL_SECONDS = 0.02


class Connection(Transport, Protocol):
    """The connection to Kafka: `kafka.ReconnectingProducer`, or the fake of the tests."""

    @property
    def problem(self) -> str | None:
        """Why events cannot be sent, as a sentence; None while they can."""

    @property
    def is_connecting(self) -> bool:
        """Whether the first attempt to connect is not over."""

    def start(self, on_open: Callable[[int], None]) -> None:
        """Start to connect; `on_open` is called with the number of partitions."""

    async def stop(self) -> None:
        """Close the connection."""


class Api:
    """The ASGI application of the role `api`."""

    def __init__(  # noqa: PLR0913 - dependencies
        self,
        connection: Connection,
        accumulator: Accumulator,
        context: EventContext,
        metrics: Metrics,
        ready_checks: Sequence[Callable[[], str | None]],
        *,
        body_bytes: BodyBytes,
        clients: Clients,
        access: AccessControl,
        salts: Salts,
        dialects: Callable[[Intake], DialectIntake],
    ) -> None:
        self._connection = connection
        self._accumulator = accumulator
        self._metrics = metrics
        self.salts = salts
        #: Sites whose events keep timestamps of any age.
        self.import_sites = context.import_sites
        self.access = access
        #: The registered sites.
        self.sites = access.sites
        #: The erased visitors and users whose events are rejected.
        self.blocked_ids = access.blocked_ids
        #: Used by `fast_protocol.DirectProtocol` for requests that bypass ASGI.
        self.intake = Intake(context, accumulator, metrics, clients, body_bytes)
        self._endpoints = EventEndpoints(
            self.intake,
            dialects(self.intake),
            metrics,
            self._wait_for_start,
            accumulator.deadline_seconds,
        )
        self.operations = Operations(
            metrics.registry, [lambda: self.problem, *ready_checks], document
        )
        self.operations.proxies = clients.proxies
        self._pages = pages(self.operations, metrics, self._lifespan)
        self._keeps_salts = False
        self._background: list[Background] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._starting: asyncio.Task[None] | None = None

    def keep_salts(self, loaded: Callable[[], Awaitable[None]]) -> None:
        """Create and delete salts in the background; `loaded` is that of `keep_salts`."""
        self._keeps_salts = True
        self.add_background_task(partial(keep_salts, self.salts, self._connection, loaded))

    @property
    def metrics(self) -> Metrics:
        """The counters of events, rejections and requests."""
        return self._metrics

    def add_background_task(self, background: Background) -> None:
        """Run a task from the role's start to its stop; call this before `start`."""
        self._background.append(background)

    async def start(self) -> None:
        """Start to connect to Kafka; called by the lifespan or by the enclosing application."""
        self._connection.start(self._accumulator.open)
        self._tasks = [asyncio.create_task(run()) for run in self._background]
        self.intake.is_starting = self.problem is not None

    async def _wait_for_start(self) -> None:
        """Return when events can be accepted, when Kafka cannot be reached, or to stop."""
        if self._may_start and (self._starting is None or self._starting.done()):
            self._starting = asyncio.create_task(self._poll_start())
        if self._starting is not None:
            await asyncio.wait([self._starting])  # one task for all requests that wait
        self.intake.is_starting = self.problem is not None

    async def _poll_start(self) -> None:
        while self._may_start:  # noqa: ASYNC110 - four conditions, once
            await asyncio.sleep(_POLL_SECONDS)

    @property
    def _may_start(self) -> bool:
        """Whether the role is not ready, but may soon be."""
        if self.intake.is_draining:
            return False
        is_connected = self._connection.problem is None
        return self._connection.is_connecting or (is_connected and bool(self._loading_problem))

    async def stop(self) -> None:
        """Flush queued records and close the connection, within a time limit."""
        for task in (*self._tasks, *filter(None, [self._starting])):
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._accumulator.drain()
                await self._connection.stop()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def drain(self) -> None:
        """Reject new requests; return when all earlier ones have a response."""
        await self.intake.drain()

    def describe(self, address: str) -> list[str]:
        """Return log lines about what is served at this address."""
        return [f"Accepting events at {address}/api/event; try {address}/docs"]

    @property
    def problem(self) -> str | None:
        """Why the role is not ready; None if it is."""
        if self.intake.is_draining:
            return "The server is shutting down"
        return self._connection.problem or self._loading_problem

    @property
    def _loading_problem(self) -> str | None:
        if not self.sites.is_loaded:
            return "The registered sites are being read from Kafka"
        if self._keeps_salts and not self.salts.has_today():
            return "The salts of visitor ids are being read from Kafka"
        return None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] == "lifespan":
            await self._pages(scope, receive, send)
            return
        path = route_path(scope["path"])
        self.intake.begin()
        try:
            if is_event_path(path):
                response = await self._endpoints.respond(scope, path, receive)
                self._count(path, response.status)
                await send_response(response, receive, send)
            else:
                count = partial(self._count_page, path, send)
                await self._pages({**scope, "path": path}, receive, count)
        except Disconnected:
            pass
        finally:
            self.intake.end()

    def _count(self, path: str, status: int) -> None:
        label = path if path in OPERATION_PATHS else metric_label(path)
        self._metrics.counters.count_response(label, status)

    def count_unserved(self, path: str, reason: RejectReason) -> None:
        """Count a response of the server to a request that did not reach the application."""
        self._metrics.rejections.count(reason)
        self._count(path, reason.status)

    async def _count_page(self, path: str, send: Send, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._count(path, message["status"])
        await send(message)

    @asynccontextmanager
    async def _lifespan(self, _: object) -> AsyncIterator[None]:
        await self.start()
        yield
        await self.stop()
