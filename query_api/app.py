"""The role `query`: a FastAPI application, its dependencies, start and graceful shutdown."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from query_api import queries
from query_api.alert_feed import AlertFeed
from query_api.auth import Authenticator, token_of
from query_api.concurrency import ListSlots
from query_api.errors import error_response, unavailable
from query_api.live_feed import LiveFeed
from query_api.live_reader import LiveReader
from query_api.live_store import LiveStore
from query_api.metrics import Metrics
from query_api.observation import ObservedApplication
from query_api.openapi import ROUTERS, document
from query_api.sse import Streams
from query_api.tracing import span_of
from schemas.operational_endpoints import Operations
from schemas.reject_reasons import RejectReason
from schemas.settings import Settings
from schemas.topics import IMPORT_WINDOWS
from schemas.trusted_proxies import TrustedProxies
from sinks.delivery.publisher import PublishConfiguration, open_publisher
from sinks.delivery.service import Subscriptions, open_subscriptions
from sinks.sites.service import SiteService, open_sites
from sinks.sql.engine import Database
from sinks.sql.errors import explain
from sinks.sql.reader import open_reader

if TYPE_CHECKING:
    from schemas.tracing import Tracer

_log = logging.getLogger(__name__)

_STOP_SECONDS = 10.0
#: Maximum number of sites in the log message at start.
_LOGGED_SITES = 20
#: Connections for token checks, each of which takes well under a millisecond.
_AUTHENTICATION_READERS = 2


class Services(NamedTuple):
    """The services that write. They connect to Kafka on first use."""

    subscriptions: Subscriptions
    publish_window: PublishConfiguration
    sites: SiteService


OpenServices = Callable[[], AbstractAsyncContextManager[Services]]


class Query:
    """HTTP out as an ASGI application. Its lifespan calls `start` and `stop`.

    `authentication` is a separate connection pool for token checks, which lists must not delay.
    """

    services: Services

    def __init__(  # noqa: PLR0913 - dependencies
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
        self.proxies = TrustedProxies()
        #: Set if traces are enabled.
        self.tracer: Tracer | None = None
        #: The database and the brokers, for the log message at start.
        self.sources = ""
        self._background: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._open_services = services
        self._exit_stack = AsyncExitStack()
        self._metrics = Metrics(registry, lambda: reader.store.size, lambda: reader.malformed)
        self.streams = Streams(self._metrics)
        self.operations = Operations(registry, [lambda: self.problem], document)
        self.operations.is_authorized = self._may_see_details
        self._in_flight = 0
        self._drained = asyncio.Event()
        self._app = self._application()
        self._observed = ObservedApplication(self._app, self._metrics)

    def _application(self) -> FastAPI:
        app = FastAPI(
            openapi_url=None,  # `Operations` serves it
            redirect_slashes=False,
            telemetry={"tracing": False, "metrics": False, "logs": False},
            lifespan=self._lifespan,
            exception_handlers={HTTPException: error_response},
        )
        for router in ROUTERS:
            app.include_router(router)
        operations = self.operations.routes()
        app.router.routes.extend(operations)
        app.state.routes = [*operations, *(route for router in ROUTERS for route in router.routes)]
        (database, store) = (self._databases[0], self._reader.store)
        app.state.query, app.state.database, app.state.live_store = self, database, store
        app.state.authenticator = Authenticator(self._databases[-1], time.monotonic)
        observe_latency = self._metrics.live_latency.observe
        app.state.live_feed = LiveFeed(store, time.monotonic, observe_latency)
        app.state.alert_feed = AlertFeed(database, time.monotonic, self._observe_alert)
        app.state.slots, app.state.streams = ListSlots(), self.streams
        return app

    def _observe_alert(self, raised_at: datetime) -> None:
        seconds = self._now_ms() / 1_000 - raised_at.timestamp()
        self._metrics.alert_latency.observe(max(0.0, seconds))

    def count_unserved(self, _path: str, reason: RejectReason) -> None:
        """Count a response of the server to a request that did not reach the application."""
        self._metrics.requests.labels("none", str(reason.status)).inc()

    async def _may_see_details(self, request: Request) -> bool:
        """Return True if the request has a token of all sites."""
        authenticator: Authenticator = self._app.state.authenticator
        token = token_of(request)
        grant = await authenticator.check(token) if token else None
        return grant is not None and grant.sites is None

    @property
    def is_stopping(self) -> bool:
        """Whether `drain` was called."""
        return self.streams.stopping.is_set()

    @property
    def problem(self) -> str | None:
        """Why the role is not ready; None if it is."""
        return "The server is shutting down" if self.is_stopping else self._reader.problem

    async def start(self) -> None:
        """Generate the OpenAPI document and start reading live counters. Do not wait for Kafka."""
        self.operations.describe()
        self.services = await self._exit_stack.enter_async_context(self._open_services())
        self._reader.start(self._now_ms())
        self._tasks = [asyncio.create_task(run()) for run in (self._log_sites, *self._background)]

    def add_background_task(self, background: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a task from the role's start to its stop; call this before `start`."""
        self._background.append(background)

    def describe(self, address: str) -> list[str]:
        """Return log lines with the URLs of the dashboard and the API."""
        return [f"The dashboard is at {address}/, the API at {address}/docs{self.sources}"]

    async def _log_sites(self) -> None:
        """Log the sites with visits, or why they cannot be read."""
        try:
            sites = await self._databases[0].run(lambda c: queries.sites(c, _LOGGED_SITES + 1))
        except Exception as error:  # noqa: BLE001 - requests report it as well
            api_error = unavailable(error)
            _log.warning("%s", api_error.detail if api_error else explain(error))
            return
        more = ", …" if len(sites) > _LOGGED_SITES else ""
        _log.info("Sites with visits: %s%s", ", ".join(sites[:_LOGGED_SITES]) or "none yet", more)

    async def stop(self) -> None:
        """Stop reading, and close the databases and services."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._reader.stop()
        for database in self._databases:
            await database.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._exit_stack.aclose()

    async def drain(self) -> None:
        """Reject new requests, end the streams, and wait for requests in progress."""
        self.streams.stopping.set()
        if self._in_flight:
            await self._drained.wait()

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        await self.start()
        yield
        await self.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or the lifespan protocol."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        self._in_flight += 1
        try:
            with span_of(self.tracer, scope) as span:
                await self._observed.serve(scope, receive, send, span)
        finally:
            self._in_flight -= 1
            if self.is_stopping and not self._in_flight:
                self._drained.set()


@asynccontextmanager
async def _open_services(settings: Settings) -> AsyncIterator[Services]:
    async with (
        open_subscriptions(settings) as subscriptions,
        open_publisher(settings.kafka, IMPORT_WINDOWS) as publish_window,
        open_sites(settings, subscriptions.delete) as sites,
    ):
        yield Services(subscriptions, publish_window, sites)


def create_query(
    settings: Settings,
    *,
    registry: CollectorRegistry | None = None,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> Query:
    """Create the role. `/metrics` exposes `registry`; `now_ms` returns the Unix time in ms."""
    (url, seconds) = (settings.database.url, settings.query.statement_timeout_seconds)
    query = Query(
        open_reader(url, seconds),
        LiveReader(settings.kafka, LiveStore(now_ms)),
        registry or CollectorRegistry(),
        lambda: _open_services(settings),
        now_ms,
        authentication=open_reader(url, seconds, readers=_AUTHENTICATION_READERS),
    )
    query.streams.max_per_token = settings.query.max_streams_per_token
    query.streams.max_per_site = settings.query.max_streams_per_site
    query.proxies = query.operations.proxies = TrustedProxies(settings.api.trusted_proxies)
    query.sources = (
        f"; it reads {settings.database.redacted}, Kafka {settings.kafka.bootstrap_servers}"
    )
    return query
