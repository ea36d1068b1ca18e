"""The role `query` as an ASGI application."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from schemas.asgi import KEEP_LITTLE
from schemas.settings import Settings
from sinks.query import answers, sse
from sinks.query.alert_feed import AlertFeed
from sinks.query.answers import Answer, Refused, not_found, overloaded
from sinks.query.auth import Guard, set_cookie, token_of
from sinks.query.handlers import Handlers, unavailable
from sinks.query.live_board import Board
from sinks.query.live_feed import LiveFeed
from sinks.query.live_reader import LiveReader
from sinks.query.metrics import Metrics
from sinks.query.openapi import document
from sinks.query.request import Disconnected, Receive, Request, read_request
from sinks.query.routes import Route, routes
from sinks.query.sse import Send, Stream
from sinks.query.static import static_answers
from sinks.query.subscriptions import SubscriptionHandlers
from sinks.sql.engine import Database
from sinks.sql.reader import open_reader
from sinks.webhooks.service import Subscriptions, open_subscriptions

_log = logging.getLogger(__name__)

#: Clients of streams at the same time.
MOST_STREAMS = 2_000
_STOP_SECONDS = 10.0

OpenSubscriptions = Callable[[], AbstractAsyncContextManager[Subscriptions]]


class Query:
    """HTTP out; `start` and `stop` belong to the lifespan, or to who serves this with others."""

    def __init__(
        self,
        database: Database,
        reader: LiveReader,
        registry: CollectorRegistry,
        subscriptions: OpenSubscriptions,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._reader = reader
        self._now_ms = now_ms
        self._metrics = Metrics(registry, lambda: reader.board.size)
        self._guard = Guard(database, time.monotonic)
        feeds = (LiveFeed(reader.board, time.monotonic), AlertFeed(database, time.monotonic))
        self._handlers = Handlers(database, reader.board, *feeds, self._guard)
        self._open_subscriptions = subscriptions
        self._opened = AsyncExitStack()
        self._routes: list[Route] = []
        self._static = static_answers()
        self._own: dict[str, Callable[[], Answer]] = {
            "/healthz": lambda: answers.json(200, {"status": "ok"}),
            "/readyz": self._ready,
            "/metrics": self._told_metrics,
            "/openapi.json": lambda: answers.json(200, document()),
        }
        self._stopping = asyncio.Event()
        self._in_flight = 0
        self._streams = 0
        self._all_answered = asyncio.Event()

    @property
    def trouble(self) -> str | None:
        """Why it is not ready, None when it is."""
        return "The server is shutting down" if self._stopping.is_set() else self._reader.trouble

    async def start(self) -> None:
        """Begin to read live counters; returns at once, whoever is reached."""
        service = await self._opened.enter_async_context(self._open_subscriptions())
        self._routes = routes(self._handlers, SubscriptionHandlers(service))
        self._reader.start(self._now_ms())

    async def stop(self) -> None:
        """Close what is open."""
        await self._reader.stop()
        await self._database.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._opened.aclose()

    async def drain(self) -> None:
        """Refuse what comes from now on, end the streams, and return when all is answered."""
        self._stopping.set()
        if self._in_flight:
            await self._all_answered.wait()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        self._in_flight += 1
        try:
            with suppress(Disconnected):
                await self._respond(scope, receive, send)
        finally:
            self._in_flight -= 1
            if self._stopping.is_set() and not self._in_flight:
                self._all_answered.set()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _respond(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        (route, found) = await self._answer(scope, receive)
        status = 200 if isinstance(found, Stream) else found.status
        self._metrics.requests.labels(route, str(status)).inc()
        if isinstance(found, Stream):
            # Where a server offers it; else the connection keeps what it keeps.
            scope.get("state", {}).get(KEEP_LITTLE, lambda: None)()
            await self._stream(found, receive, send)
            return
        await send(
            {"type": "http.response.start", "status": found.status, "headers": found.headers}
        )
        await send({"type": "http.response.body", "body": found.body})

    async def _answer(
        self, scope: Mapping[str, Any], receive: Receive
    ) -> tuple[str, Answer | Stream]:
        """Return the route's template, closed as a metric's label must be, and what it answers."""
        template = "none"
        try:
            request = read_request(scope, receive)
            if request.path in self._static or request.path in self._own:
                return request.path, await self._public(request)
            (route, request.names) = self._route(request)
            template = route.template
            return template, await self._handle(route, request)
        except Refused as refused:
            return template, refused.answer()
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001 - the edge: logged and answered
            return template, _failed(error)

    def _route(self, request: Request) -> tuple[Route, Mapping[str, str]]:
        for route in self._routes:
            names = route.match(request.path)
            if names is not None:
                return route, names
        raise not_found(request.path)

    async def _handle(self, route: Route, request: Request) -> Answer | Stream:
        if self._stopping.is_set():
            raise Refused(503, "shutting_down", "The server is shutting down", retry_after="1")
        handler = route.handlers.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            raise _not_allowed(request, route.allowed)
        request.grant = await self._guard.grant(request)
        found = await handler(request)
        if isinstance(found, Stream):
            if request.method == "HEAD":
                raise _not_allowed(request, route.allowed)
            if self._streams >= MOST_STREAMS:
                raise overloaded()
        return found

    async def _public(self, request: Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            raise _not_allowed(request, "GET, HEAD")
        if request.path == "/" and "access_token" in request.query:
            return await self._swap_token(request)
        own = self._own.get(request.path)
        return own() if own else self._static[request.path]

    async def _swap_token(self, request: Request) -> Answer:
        """Give the page its cookie, and an address without the token."""
        token = token_of(request)
        to_page = answers.empty(303).with_headers((b"location", b"/"))
        if await self._guard.check(token) is None:
            return to_page  # which will say that it needs one
        return to_page.with_headers(
            (b"referrer-policy", b"no-referrer"), set_cookie(token, request)
        )

    async def _stream(self, stream: Stream, receive: Receive, send: Send) -> None:
        self._streams += 1
        self._metrics.streams.set(self._streams)
        try:
            if not await sse.serve(stream, receive, send, self._stopping):
                self._metrics.dropped.inc()
        finally:
            self._streams -= 1
            self._metrics.streams.set(self._streams)

    def _ready(self) -> Answer:
        if self.trouble is not None:
            return answers.not_ready(self.trouble).answer()
        return answers.json(200, {"status": "ready"})

    def _told_metrics(self) -> Answer:
        told = generate_latest(self._metrics.registry)
        return answers.plain(200, CONTENT_TYPE_LATEST.encode(), told)


def _not_allowed(request: Request, allowed: str) -> Refused:
    method = answers.shown(request.method)
    sentence = f"{answers.shown(request.path)} takes {allowed}, not {method}"
    return Refused(405, "method_not_allowed", sentence, allow=allowed)


def _failed(error: Exception) -> Answer:
    if (refused := unavailable(error)) is not None:
        return refused.answer()
    _log.error("A request failed", exc_info=error)
    return Refused(
        500, "internal_error", "The server failed at this, and its log says where"
    ).answer()


def create_query(
    settings: Settings,
    *,
    registry: CollectorRegistry | None = None,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> Query:
    """Wire the role; `registry` is what /metrics tells, `now_ms` is since 1970."""
    return Query(
        open_reader(settings.database.url),
        LiveReader(settings.kafka.bootstrap_servers, Board(now_ms)),
        registry or CollectorRegistry(),
        lambda: open_subscriptions(settings),
        now_ms,
    )
