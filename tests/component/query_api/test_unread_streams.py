"""Streams over real sockets, with clients that read and clients that do not."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psutil
import pytest
import uvicorn
from uvicorn.server import ServerState

from producer_api.http import connections, http_writer, slow_connections
from producer_api.http.fast_protocol import protocol_with_limits
from producer_api.http.slow_connections import close_slow_connections
from query_api import sse
from query_api.live_feed import LiveFeed
from tests.component.query_api.conftest import Role
from tests.fixtures.waiting import eventually_async

#: SO_RCVBUF of clients.
_RECEIVE_BUFFER = 8 * 1024
#: The kernel doubles the requested sizes.
_BUFFERS_BYTES = 2 * (_RECEIVE_BUFFER + http_writer.STREAM_BUFFER_BYTES)


class Busy:
    """A source with a message at every poll, which counts the bytes by site."""

    def __init__(self, site_id: str, message: bytes, sent: Counter[str]) -> None:
        self._site_id = site_id
        self._message = message
        self._sent = sent

    async def next_messages(self) -> bytes:
        """Return the same object each time, like a shared feed."""
        self._sent[self._site_id] += len(self._message)
        return self._message


def always_send(monkeypatch: pytest.MonkeyPatch, message: bytes) -> Counter[str]:
    """Make live streams send `message` at every poll; return the bytes sent by site."""
    sent: Counter[str] = Counter()
    monkeypatch.setattr(
        LiveFeed, "watch", lambda _, site_id, **__: Busy(site_id, message, sent).next_messages
    )
    monkeypatch.setattr(sse, "POLL_SECONDS", 0.01)
    return sent


def shorten_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce the send timeouts to less than a second."""
    monkeypatch.setattr(sse, "SEND_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(slow_connections, "READ_SECONDS", 0.8)


@asynccontextmanager
async def serving(role: Role) -> AsyncIterator[int]:
    """Serve the role with its HTTP protocol and the check for slow connections; yield the port."""
    protocol = protocol_with_limits(500)
    config = uvicorn.Config(role.query, http=protocol, lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, connections.SEND_BUFFER_BYTES)
    server = await loop.create_server(lambda: protocol(config, state, {}), sock=listener)

    async def watch() -> None:
        while True:
            close_slow_connections(state.connections)
            await asyncio.sleep(0.1)

    watching = asyncio.ensure_future(watch())
    try:
        yield listener.getsockname()[1]
    finally:
        await role.query.drain()
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        server.close()


async def watch(port: int, token: str, site_id: str) -> socket.socket:
    """Request a site's stream, without reading it."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    path = f"/api/sites/{site_id}/live/stream?access_token={token}"
    await loop.sock_sendall(client, f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    return client


async def answer(client: socket.socket) -> bytes:
    """Return the next bytes."""
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 65_536), 30)


async def metric(role: Role, name: str) -> float:
    """Return a metric of the role."""
    async with role.client() as client:
        lines = (await client.get("/metrics")).text.splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


async def test_clients_that_do_not_read_are_dropped(
    role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is sent at most the size of the buffers and one message more."""
    sent = always_send(monkeypatch, b"event: live\ndata: %b\n\n" % (b"x" * 2_000))
    shorten_timeouts(monkeypatch)
    token = await role.token()
    sites = [f"unread-{number}" for number in range(20)]
    async with serving(role) as port:
        reader = await watch(port, token, "read")
        unread = [await watch(port, token, site_id) for site_id in sites]

        async def are_dropped() -> bool:
            assert await answer(reader)
            return await metric(role, "headrace_query_streams_dropped_total") == len(sites)

        await eventually_async(are_dropped, within_seconds=60, what="they are dropped")
        assert await answer(reader)
        assert await metric(role, "headrace_query_streams") == 1
        for client in (reader, *unread):
            client.close()

    assert max(sent[site_id] for site_id in sites) <= _BUFFERS_BYTES + 2_100


async def test_a_large_message_is_shared_by_clients(
    role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients that do not read buffer at most a chunk of it."""
    message = b"event: live\ndata: %b\n\n" % (b"x" * 4_000_000)
    sent = always_send(monkeypatch, message)
    token = await role.token()
    process = psutil.Process()
    async with serving(role) as port:
        before = process.memory_info().rss
        clients = [await watch(port, token, "shop") for _ in range(50)]
        await eventually_async(
            lambda: sent["shop"] == 50 * len(message), within_seconds=60, what="all were sent"
        )
        assert process.memory_info().rss - before < 10 * len(message)
        for client in clients:
            client.close()


async def test_a_stream_over_the_limit_is_rejected(
    role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, with Retry-After; after another one ends, it is accepted."""
    monkeypatch.setattr(sse, "MAX_STREAMS", 3)
    always_send(monkeypatch, b"event: live\ndata: 1\n\n")
    token = await role.token()
    async with serving(role) as port:
        clients = [await watch(port, token, "shop") for _ in range(3)]

        async def are_open() -> bool:
            return await metric(role, "headrace_query_streams") == 3

        await eventually_async(are_open, within_seconds=30, what="all are open")
        rejected = await answer(await watch(port, token, "shop"))
        assert rejected.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in rejected
        assert b'"code":"overloaded"' in rejected

        clients.pop().close()

        async def is_accepted() -> bool:
            client = await watch(port, token, "shop")
            clients.append(client)
            return (await answer(client)).startswith(b"HTTP/1.1 200")

        await eventually_async(is_accepted, within_seconds=30, what="it is accepted")
        for client in clients:
            client.close()
