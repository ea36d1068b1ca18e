"""The ASGI application of the role `api`: routes and lifecycle."""

import asyncio
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Mapping,
    MutableMapping,
    Sequence,
)
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Protocol

from producer_api.access.control import AccessControl
from producer_api.events.batch import split
from producer_api.events.client import Client
from producer_api.events.decompression import DECOMPRESSORS
from producer_api.events.derive.salts import Salts
from producer_api.events.dialects.decoding import MAX_BYTES
from producer_api.events.draft import EventContext
from producer_api.events.rejection import Rejected, RejectedEarly, shorten
from producer_api.events.request import Request
from producer_api.http import body, cors, responses
from producer_api.http.body import Disconnected, Receive
from producer_api.http.clients import Clients
from producer_api.http.dialects import DialectIntake
from producer_api.http.fast_protocol import NEVER_CLAMP
from producer_api.http.intake import MAYBE_OTHER, Intake, Parse, parse_event
from producer_api.http.lingering import Send, send_response
from producer_api.http.metrics import Metrics
from producer_api.http.openapi import document
from producer_api.http.paths import (
    BATCH_PATH,
    EVENT_PATH,
    allowed_methods,
    error_members,
    is_event_path,
    metric_label,
    route_path,
)
from producer_api.http.responses import Response
from producer_api.http.routes import pages
from producer_api.produce.accumulator import Accumulator, Transport
from producer_api.produce.salt_keeper import keep_salts
from schemas.operational_endpoints import OPERATION_PATHS, Operations
from schemas.reject_reasons import RejectReason

Headers = Mapping[bytes, bytes]
#: A task that runs from the role's start until it is cancelled.
Background = Callable[[], Coroutine[Any, Any, None]]

_STOP_SECONDS = 10.0


class Connection(Transport, Protocol):
    """The connection to Kafka: `kafka.ReconnectingProducer`, or the fake of the tests."""

    @property
    def problem(self) -> str | None:
        """Why events cannot be sent, as a sentence; None while they can."""

    def start(self, on_open: Callable[[int], None]) -> None:
        """Start to connect; `on_open` is called with the number of partitions."""

    async def stop(self) -> None:
        """Close the connection."""


#: The limits of our own paths, which accept gzip; dialects have `MAX_BYTES` and `DECOMPRESSORS`.
_MAX_BYTES = {EVENT_PATH: body.MAX_EVENT_BYTES, BATCH_PATH: body.MAX_BATCH_BYTES}


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
        #: Used by `direct.DirectProtocol` for requests that bypass ASGI.
        self.intake = Intake(context, accumulator, metrics, clients)
        self._dialects = dialects(self.intake)
        self.operations = Operations(
            metrics.registry, [lambda: self.problem, *ready_checks], document
        )
        self.operations.proxies = clients.proxies
        self._pages = pages(self.operations, metrics, self._lifespan)
        self._keeps_salts = False
        self._background: list[Background] = []
        self._tasks: list[asyncio.Task[None]] = []

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

    async def stop(self) -> None:
        """Flush queued records and close the connection, within a time limit."""
        for task in self._tasks:
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
        if problem := self._connection.problem:
            return problem
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
                response = await self._handle(scope, path, receive)
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

    async def _handle(self, scope: Mapping[str, Any], path: str, receive: Receive) -> Response:
        headers = dict(scope["headers"])
        try:
            response = await self._route(scope, path, headers, receive)
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001 - counted, logged and returned as an error
            rejected = self.intake.reject(error)
            response = responses.error_response(rejected, error_members(path, rejected))
            if isinstance(rejected, RejectedEarly) and _has_body(headers):
                response = response.closing()
        cors_headers = cors.response_headers(path, headers)
        return response.with_headers(*cors_headers) if cors_headers else response

    async def _route(
        self, scope: Mapping[str, Any], path: str, headers: Headers, receive: Receive
    ) -> Response:
        allowed = allowed_methods(path)
        if not allowed:
            raise RejectedEarly(RejectReason.NOT_FOUND, path=shorten(path))
        method = scope["method"]
        if method == "OPTIONS":
            return cors.preflight(headers, allowed)
        if method not in allowed.split(", "):
            raise RejectedEarly(
                RejectReason.METHOD_NOT_ALLOWED, path=path, allowed=allowed, method=method
            )
        started_at = time.perf_counter()
        try:
            peer = (scope.get("client") or ("",))[0]
            client = self.intake.clients.read(headers, scope["headers"], peer)
            if self.intake.is_draining:
                raise RejectedEarly(RejectReason.SHUTTING_DOWN)
            if limit := _MAX_BYTES.get(path):
                content = await body.read_body(receive, headers, limit)
            else:
                content = await body.read_body(receive, headers, MAX_BYTES, DECOMPRESSORS)
            query = scope["query_string"].decode("latin-1")
            request = Request(method, path, query, headers, content)
            return await self._ingest(request, client, started_at)
        finally:
            self._metrics.counters.observe_request(time.perf_counter() - started_at)

    async def _ingest(self, request: Request, client: Client, started_at: float) -> Response:
        if request.path == EVENT_PATH:
            return await self._ingest_event(request, client, started_at)
        if request.path == BATCH_PATH:
            return await self._ingest_batch(request, client)
        if response := await self._dialects.respond(request, client):
            return response
        raise Rejected(RejectReason.NO_DIALECT, path=request.path)

    async def _ingest_event(self, request: Request, client: Client, started_at: float) -> Response:
        try:
            sent = self.intake.send(request.body, client, started_at, _parser_of(request))
        except Rejected as rejected:
            if rejected.reason not in MAYBE_OTHER:
                raise
            if response := await self._dialects.respond(request, client):
                return response
            raise
        await asyncio.wait([sent.confirmed])
        return self.intake.accepted_response(sent)

    async def _ingest_batch(self, request: Request, client: Client) -> Response:
        events = split(request.body, request.headers.get(b"content-type", b""))
        results = await self.intake.send_batch(events, client, _parser_of(request))
        response = responses.json(results.status, results.body)
        if results.retry_after:
            return response.with_headers(responses.retry_after(results.retry_after))
        return response


def _parser_of(request: Request) -> Parse:
    (name, never) = NEVER_CLAMP
    if request.headers.get(name, b"").lower() == never:
        return partial(parse_event, never_clamp=True)
    return parse_event


def _has_body(headers: Headers) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
