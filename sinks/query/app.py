"""The role `query`: a FastAPI application, and what is done around every request."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Any, NamedTuple

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from schemas.asgi import canonical_path
from schemas.operations import OPERATION_PATHS, Operations
from schemas.settings import Settings
from schemas.topics import IMPORT_WINDOWS
from sinks.query import reads
from sinks.query.access import log_request, log_stream_end
from sinks.query.alert_feed import AlertFeed
from sinks.query.auth import Guard
from sinks.query.errors import answer_error, unavailable
from sinks.query.live_board import Board
from sinks.query.live_feed import LiveFeed
from sinks.query.live_reader import LiveReader
from sinks.query.metrics import Metrics
from sinks.query.openapi import ROUTERS, document
from sinks.query.slots import ListSlots
from sinks.query.sse import Streams
from sinks.sql.engine import Database
from sinks.sql.errors import explain
from sinks.sql.reader import open_reader
from sinks.webhooks.service import Subscriptions, open_subscriptions
from sinks.webhooks.topic import PublishConfiguration, open_publisher

_log = logging.getLogger(__name__)

_STOP_SECONDS = 10.0
#: Logged at the start.
_LOGGED_SITES = 20
#: Token checks at the same time: one takes well under a millisecond.
_AUTHENTICATION_READERS = 2


class Services(NamedTuple):
    """What writes: both connect to Kafka when first used."""

    subscriptions: Subscriptions
    publish_window: PublishConfiguration


Headers = list[tuple[bytes, bytes]]
OpenServices = Callable[[], AbstractAsyncContextManager[Services]]


class Query:
    """HTTP out as an ASGI application; `start` and `stop` belong to its lifespan.

    Tokens are checked through the database `authentication`, whose threads or connections no list
    occupies.
    """

    services: Services

    def __init__(  # noqa: PLR0913 - all that it is wired to
        self,
        database: Database,
        reader: LiveReader,
        registry: CollectorRegistry,
        services: OpenServices,
        now_ms: Callable[[], int],
        *,
        authentication: Database,
    ) -> None:
        self._databases = (database, authentication)
        self._reader = reader
        self._now_ms = now_ms
        #: What it reads, in words for the log.
        self.sources = ""
        self._first_look: asyncio.Task[None] | None = None
        self._open_services = services
        self._opened = AsyncExitStack()
        self._metrics = Metrics(registry, lambda: reader.board.size)
        self.streams = Streams(self._metrics)
        self.operations = Operations(registry, [lambda: self.trouble], document)
        self._in_flight = 0
        self._all_answered = asyncio.Event()
        self._app = self._application()

    def _application(self) -> FastAPI:
        app = FastAPI(
            openapi_url=None,  # `Operations` serves it
            redirect_slashes=False,
            telemetry={"tracing": False, "metrics": False, "logs": False},
            lifespan=self._lifespan,
            exception_handlers={HTTPException: answer_error},
        )
        for router in ROUTERS:
            app.include_router(router)
        operations = self.operations.routes()
        app.router.routes.extend(operations)
        app.state.routes = [*operations, *(one for router in ROUTERS for one in router.routes)]
        (database, board) = (self._databases[0], self._reader.board)
        app.state.query, app.state.database, app.state.board = self, database, board
        app.state.guard = Guard(self._databases[-1], time.monotonic)
        app.state.live_feed = LiveFeed(board, time.monotonic)
        app.state.alert_feed = AlertFeed(database, time.monotonic)
        app.state.slots, app.state.streams = ListSlots(), self.streams
        return app

    @property
    def is_stopping(self) -> bool:
        """True from `drain` on."""
        return self.streams.stopping.is_set()

    @property
    def trouble(self) -> str | None:
        """Why it is not ready, None when it is."""
        return "The server is shutting down" if self.is_stopping else self._reader.trouble

    async def start(self) -> None:
        """Generate the API description and begin to read live counters; do not wait for Kafka."""
        self.operations.describe()
        self.services = await self._opened.enter_async_context(self._open_services())
        self._reader.start(self._now_ms())
        self._first_look = asyncio.get_running_loop().create_task(self._log_sites())

    def describe(self, address: str) -> list[str]:
        """Return what is served at this address, for the log."""
        return [f"The live page is at {address}/, the API at {address}/docs{self.sources}"]

    async def _log_sites(self) -> None:
        """Log which sites there are to read, or why they cannot be read."""
        try:
            found = await self._databases[0].run(lambda c: reads.sites(c, _LOGGED_SITES + 1))
        except Exception as error:  # noqa: BLE001 - the edge: requests report it as well
            known = unavailable(error)
            _log.warning("%s", known.detail if known else explain(error))
            return
        more = ", …" if len(found) > _LOGGED_SITES else ""
        _log.info("Sites with visits: %s%s", ", ".join(found[:_LOGGED_SITES]) or "none yet", more)

    async def stop(self) -> None:
        """Close what is open."""
        if self._first_look is not None:
            self._first_look.cancel()
            await asyncio.wait([self._first_look])
        await self._reader.stop()
        for database in self._databases:
            await database.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._opened.aclose()

    async def drain(self) -> None:
        """Refuse what comes from now on, end the streams, and return when all is answered."""
        self.streams.stopping.set()
        if self._in_flight:
            await self._all_answered.wait()

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        await self.start()
        yield
        await self.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        self._in_flight += 1
        try:
            await self._serve(scope, receive, send)
        finally:
            self._in_flight -= 1
            if self.is_stopping and not self._in_flight:
                self._all_answered.set()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request: HEAD as GET, whose body the server leaves out; log and count it."""
        began = time.perf_counter()
        method = scope["method"]
        inner: dict[str, Any] = {
            **scope,
            "method": "GET" if method == "HEAD" else method,
            "path": canonical_path(scope["path"]),
            "headers": readable_headers(scope["headers"]),
            "state": {**scope.get("state", {}), "method": method},
        }
        is_stream = False

        async def observe(message: Message) -> None:
            nonlocal is_stream
            if message["type"] == "http.response.start":
                headers = message["headers"] = _with_defaults(message["headers"])
                is_stream = dict(headers).get(b"content-type") == b"text/event-stream"
                self._note(scope, inner, message["status"], time.perf_counter() - began)
            await send(message)

        await self._app(inner, receive, observe)
        if is_stream and method != "HEAD":
            log_stream_end(scope, time.perf_counter() - began)

    def _note(self, scope: Scope, inner: Scope, status: int, seconds: float) -> None:
        # A route's template, as a metric's label must be one of few.
        path = inner["path"] if inner["path"] in OPERATION_PATHS else "none"
        template = getattr(inner.get("route"), "path", path)
        self._metrics.requests.labels(template, str(status)).inc()
        log_request(scope, f"{status} {inner['state'].get('code', '')}".rstrip(), seconds)


def readable_headers(headers: Headers) -> Headers:
    """Return headers of a request without what is not served, or costs much to read.

    Python reads a quoted cookie of backslashes in quadratic time (CVE-2024-7592), and no cookie of
    ours has one. Files are sent whole: the answer to a wrong range would not be in our form.
    """
    return [
        (name, value.replace(b"\\", b"") if name == b"cookie" else value)
        for name, value in headers
        if name != b"range"
    ]


def _with_defaults(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return headers by which nothing is cached or taken for another content type, by default."""
    names = {name for name, _ in headers}
    more = [(b"x-content-type-options", b"nosniff")]
    if b"cache-control" not in names:
        more.append((b"cache-control", b"no-store"))
    return [*headers, *more]


@asynccontextmanager
async def _open_services(settings: Settings) -> AsyncIterator[Services]:
    async with (
        open_subscriptions(settings) as subscriptions,
        open_publisher(settings.kafka, IMPORT_WINDOWS) as publish_window,
    ):
        yield Services(subscriptions, publish_window)


def create_query(
    settings: Settings,
    *,
    registry: CollectorRegistry | None = None,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> Query:
    """Wire the role; `registry` is what /metrics exposes, `now_ms` is since 1970."""
    (url, seconds) = (settings.database.url, settings.query.statement_timeout_seconds)
    query = Query(
        open_reader(url, seconds),
        LiveReader(settings.kafka, Board(now_ms)),
        registry or CollectorRegistry(),
        lambda: _open_services(settings),
        now_ms,
        authentication=open_reader(url, seconds, readers=_AUTHENTICATION_READERS),
    )
    query.streams.max_per_token = settings.query.max_streams_per_token
    query.sources = (
        f"; it reads {settings.database.shown}, Kafka {settings.kafka.bootstrap_servers}"
    )
    return query
