"""Run the role: listen, answer, and on TERM or Ctrl-C stop without losing what was begun."""

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

from producer_api.admission import SPARE_CONNECTIONS
from producer_api.app import create_app
from producer_api.body import Receive
from producer_api.connections import (
    SEND_BUFFER_BYTES,
    end_slow_connections,
    end_unfinished_connections,
)
from producer_api.direct import guarded
from producer_api.listen import ListenError, listen
from schemas.settings import ApiSettings, Settings

_log = logging.getLogger(__name__)

#: How long new requests are still told that the server stops, so that balancers notice.
_NOTICE_SECONDS = 0.5
#: For answers that are still on their way out.
_LAST_CHANCE_SECONDS = 5
#: For requests to end whose connection was aborted; uvicorn logs those that it has to cancel.
_ABORTED_SECONDS = 5
#: Longer than the idle time of common load balancers, so that they close first.
_KEEP_ALIVE_SECONDS = 65
#: For how long what was sent may find no room at the client's.
_UNREAD_MS = 20_000
#: Files that are open besides connections.
_OTHER_FILES = 256
_TICK_SECONDS = 1.0


class Served(Protocol):
    """An ASGI application that can be stopped in order."""

    async def __call__(self, scope: Any, receive: Receive, send: Any) -> None:
        """Serve one request, or the lifespan."""

    async def drain(self) -> None:
        """Refuse what comes from now on; return when all that came before is answered."""

    def describe(self, address: str) -> list[str]:
        """Return what is served at this address, a line each, for the log."""


def serve(settings: Settings) -> int:
    """Run the role `api` until TERM or Ctrl-C; return the exit code, 1 if it cannot listen."""
    try:
        return serve_app(create_app(settings, registry=REGISTRY), settings.api)
    except ListenError as error:
        _log.error("%s. Choose another with HEADRACE_API__HOST and HEADRACE_API__PORT", error)
        return 1


def serve_app(app: Served, settings: ApiSettings) -> int:
    """Serve an application, such as one that holds several roles; return the exit code.

    `ListenError` when nothing can listen at the address.
    """
    listener = listen(settings.host, settings.port)
    limit = _allow_connections(settings.max_connections)
    # Its connections have it from here.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: sees a client that reads nothing sooner
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
    _collect_garbage_less_often()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Server(app, settings, limit).serve(sockets=[listener]))
    return 0


class _Server(uvicorn.Server):
    """uvicorn, with an orderly end and a watch over slow connections."""

    def __init__(self, app: Served, settings: ApiSettings, max_connections: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=guarded(max_connections, settings.max_connections_per_address),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_LAST_CHANCE_SECONDS + _ABORTED_SECONDS,
            )
        )
        # It would log each request that it cannot read.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        # What it warns of is told by `kafka.Link`, once and with what to do.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        self._app = app
        self._deadline_seconds = settings.deadline_seconds
        self._ending: asyncio.Task[None] | None = None
        self._has_ended = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop in order at the first signal, at once at the second."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop)
        try:
            yield
        finally:
            for name in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(name)

    def _stop(self) -> None:
        if self._ending is not None:
            _log.warning("Stopped at once; what was in flight is not answered")
            logging.shutdown()
            os._exit(1)
        _log.info("Stopping: answering what is in flight")
        self._ending = asyncio.get_running_loop().create_task(self._end())

    async def _end(self) -> None:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                await self._app.drain()
        except TimeoutError:
            end_unfinished_connections(self.server_state.connections)
        await asyncio.sleep(_NOTICE_SECONDS)
        self.should_exit = True
        self._has_ended.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        for listener in sockets or []:
            (host, port) = listener.getsockname()[:2]
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            for line in self._app.describe(f"http://{address}"):
                _log.info("%s", line)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all connections; abort those whose client neither sends nor reads in time."""

        def abort() -> None:
            for connection in list(self.server_state.connections):
                connection.transport.abort()

        timer = asyncio.get_running_loop().call_later(_LAST_CHANCE_SECONDS, abort)
        await super().shutdown(sockets)
        timer.cancel()

    async def main_loop(self) -> None:
        """Tick every second until the end; uvicorn ticks ten times, to see that it has come."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._has_ended.wait()

    async def on_tick(self, counter: int) -> bool:
        """Look after slow connections, every second."""
        end_slow_connections(self.server_state.connections)
        return await super().on_tick(counter)


def _allow_connections(limit: int) -> int:
    """Raise the limit of open files for so many connections; return how many it allows."""
    (soft, hard) = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limit + SPARE_CONNECTIONS + _OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limit
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == wanted:
        return limit
    allowed = max(1, soft - SPARE_CONNECTIONS - _OTHER_FILES)
    _log.warning(
        "The system allows %d open files, so at most %d connections are open at once, not %d: "
        "raise the limit (ulimit -n), or lower HEADRACE_API__MAX_CONNECTIONS",
        *(soft, allowed, limit),
    )
    return allowed


def _collect_garbage_less_often() -> None:
    """Spare the collector what lives for ever, and requests, which reference counts free."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
