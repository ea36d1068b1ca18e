"""Runs the HTTP server, and stops it gracefully on TERM or Ctrl-C."""

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import uvicorn
import uvloop
from prometheus_client import REGISTRY

from producer_api.http.admission import MAX_OVER_LIMIT
from producer_api.http.body import Receive
from producer_api.http.connections import SEND_BUFFER_BYTES
from producer_api.http.create_app import create_app
from producer_api.http.fast_protocol import protocol_with_limits
from producer_api.http.listen import ListenError, listen
from producer_api.http.slow_connections import close_slow_connections, close_unfinished_connections
from schemas.root_path import RootPath
from schemas.settings import ApiSettings, Settings
from schemas.trusted_proxies import TrustedProxies

_log = logging.getLogger(__name__)

#: How long new requests still get 503 before the server stops, so that load balancers notice.
_NOTICE_SECONDS = 0.5
#: For clients to read their responses; then connections are aborted.
_FLUSH_SECONDS = 5
#: For the requests of aborted connections to end; uvicorn logs those that it has to cancel.
_ABORTED_SECONDS = 5
#: Longer than the idle timeout of common load balancers, so that they close first.
_KEEP_ALIVE_SECONDS = 65
#: `TCP_USER_TIMEOUT`: how long sent data may remain unacknowledged.
_UNACKNOWLEDGED_MS = 20_000
#: Open files other than connections.
_OTHER_FILES = 256
_CHECK_SECONDS = 1.0


class Application(Protocol):
    """An ASGI application that can be drained."""

    async def __call__(self, scope: Any, receive: Receive, send: Any) -> None:
        """Serve one request, or the lifespan."""

    async def drain(self) -> None:
        """Reject new requests; return when all earlier ones have a response."""

    def describe(self, address: str) -> list[str]:
        """Return log lines about what is served at this address."""


def serve(settings: Settings) -> int:
    """Run the role `api` until TERM or Ctrl-C; return the exit code: 1 if it cannot listen."""
    try:
        return serve_app(create_app(settings, registry=REGISTRY), settings.api)
    except ListenError as error:
        _log.error("%s. Choose another with HEADRACE_API__HOST and HEADRACE_API__PORT", error)
        return 1


def serve_app(app: Application, settings: ApiSettings, *, shares_port: bool = False) -> int:
    """Serve an application until TERM or Ctrl-C; return the exit code.

    `shares_port` lets several processes listen on the same port. Raises `ListenError` if the
    address cannot be listened on.
    """
    listener = listen(settings.host, settings.port, shares_port=shares_port)
    limit = _allow_connections(settings.max_connections)
    # Accepted connections inherit these options.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
    _reduce_garbage_collection()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Server(app, settings, limit).serve(sockets=[listener]))
    return 0


class _Server(uvicorn.Server):
    """uvicorn with a graceful stop and checks of slow connections."""

    def __init__(self, app: Application, settings: ApiSettings, max_connections: int) -> None:
        super().__init__(
            uvicorn.Config(
                RootPath(app, settings.root_path, TrustedProxies(settings.trusted_proxies)),
                http=protocol_with_limits(
                    max_connections, settings.max_connections_per_address, settings.root_path
                ),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_FLUSH_SECONDS + _ABORTED_SECONDS,
            )
        )
        # It logs every malformed request.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        # `kafka.ReconnectingProducer` logs its problems, once and with the remedy.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        self._app = app
        self._deadline_seconds = settings.deadline_seconds
        self._stopping: asyncio.Task[None] | None = None
        self._has_stopped = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop gracefully at the first signal, immediately at the second."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop)
        try:
            yield
        finally:
            for name in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(name)

    def _stop(self) -> None:
        if self._stopping is not None:
            _log.warning("Stopped immediately; requests in flight get no response")
            logging.shutdown()
            os._exit(1)
        _log.info("Stopping: finishing requests in flight")
        self._stopping = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                await self._app.drain()
        except TimeoutError:
            close_unfinished_connections(self.server_state.connections)
        await asyncio.sleep(_NOTICE_SECONDS)
        self.should_exit = True
        self._has_stopped.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and log the addresses."""
        await super().startup(sockets)
        for listener in sockets or []:
            (host, port) = listener.getsockname()[:2]
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            for line in self._app.describe(f"http://{address}"):
                _log.info("%s", line)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all connections; abort those that are still open after `_FLUSH_SECONDS`."""

        def abort() -> None:
            for connection in list(self.server_state.connections):
                connection.transport.abort()

        timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, abort)
        await super().shutdown(sockets)
        timer.cancel()

    async def main_loop(self) -> None:
        """Call `on_tick` every second until the stop; uvicorn polls ten times a second."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_SECONDS):
                    await self._has_stopped.wait()

    async def on_tick(self, counter: int) -> bool:
        """Close slow connections."""
        close_slow_connections(self.server_state.connections)
        return await super().on_tick(counter)


def _allow_connections(limit: int) -> int:
    """Raise the limit of open files for `limit` connections; return how many it allows."""
    (soft, hard) = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limit + MAX_OVER_LIMIT + _OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limit
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == wanted:
        return limit
    allowed = max(1, soft - MAX_OVER_LIMIT - _OTHER_FILES)
    _log.warning(
        "The system allows %d open files, so at most %d connections are open at once, not %d: "
        "raise the limit (ulimit -n), or lower HEADRACE_API__MAX_CONNECTIONS",
        *(soft, allowed, limit),
    )
    return allowed


def _reduce_garbage_collection() -> None:
    """Exclude what exists now from collection, and collect rarely: requests contain no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
