"""Streams over real sockets, to clients that read and to clients that never do."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psutil
import pytest
import uvicorn
from uvicorn.server import ServerState

from producer_api import connections, wire
from producer_api.connections import close_slow_connections
from producer_api.direct import protocol_with_limits
from sinks.query import sse
from sinks.query.live_feed import LiveFeed
from tests.component.sinks.query.conftest import Role
from tests.fixtures.waiting import eventually_async

#: What a client's own system takes for it here; elsewhere that is the client's affair.
_THEIR_BUFFER = 8 * 1024
#: The kernel doubles what it is asked for.
_ROOM_BYTES = 2 * (_THEIR_BUFFER + wire.STREAM_BUFFER_BYTES)


class Busy:
    """A source with news at every turn, of which it counts the bytes by site."""

    def __init__(self, site_id: str, message: bytes, told: Counter[str]) -> None:
        self._site_id = site_id
        self._message = message
        self._told = told

    async def news(self) -> bytes:
        """Return the same message again, as a feed does that many share."""
        self._told[self._site_id] += len(self._message)
        return self._message


def always_news(monkeypatch: pytest.MonkeyPatch, message: bytes) -> Counter[str]:
    """Let every stream of live counters have this news at every turn; gives what was told."""
    told: Counter[str] = Counter()
    monkeypatch.setattr(
        LiveFeed, "watch", lambda _, site_id, **__: Busy(site_id, message, told).news
    )
    monkeypatch.setattr(sse, "TURN_SECONDS", 0.01)
    return told


def cut_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take seconds to be fractions of one."""
    monkeypatch.setattr(sse, "SEND_SECONDS", 0.5)
    monkeypatch.setattr(connections, "READ_SECONDS", 0.8)


@asynccontextmanager
async def serving(role: Role) -> AsyncIterator[int]:
    """Serve the role as the process does, watch over slow connections included; gives the port."""
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
    """Ask for a site's stream; nothing is read of it."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _THEIR_BUFFER)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    path = f"/api/sites/{site_id}/live/stream?access_token={token}"
    await loop.sock_sendall(client, f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    return client


async def answer(client: socket.socket) -> bytes:
    """Return what comes next."""
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 65_536), 30)


async def metric(role: Role, name: str) -> float:
    """Return a number that the role tells of itself."""
    async with role.client() as client:
        lines = (await client.get("/metrics")).text.splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


async def test_who_never_reads_is_cut_after_little_and_who_reads_is_not(
    role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept for each is what its buffer and ours take, and one message more."""
    told = always_news(monkeypatch, b"event: live\ndata: %b\n\n" % (b"x" * 2_000))
    cut_soon(monkeypatch)
    token = await role.token()
    sites = [f"unread-{number}" for number in range(20)]
    async with serving(role) as port:
        reader = await watch(port, token, "read")
        unread = [await watch(port, token, site_id) for site_id in sites]

        async def are_cut() -> bool:
            assert await answer(reader)
            return await metric(role, "headrace_query_streams_dropped_total") == len(sites)

        await eventually_async(are_cut, within_seconds=60, what="all who never read are cut")
        assert await answer(reader)
        assert await metric(role, "headrace_query_streams") == 1
        for client in (reader, *unread):
            client.close()

    assert max(told[site_id] for site_id in sites) <= _ROOM_BYTES + 2_100


async def test_a_large_message_is_kept_once_and_not_for_each(
    role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients that never read hold a piece of it at most: memory does not grow with them."""
    message = b"event: live\ndata: %b\n\n" % (b"x" * 4_000_000)
    told = always_news(monkeypatch, message)
    token = await role.token()
    process = psutil.Process()
    async with serving(role) as port:
        before = process.memory_info().rss
        clients = [await watch(port, token, "shop") for _ in range(50)]
        await eventually_async(
            lambda: told["shop"] == 50 * len(message), within_seconds=60, what="all were told"
        )
        assert process.memory_info().rss - before < 10 * len(message)
        for client in clients:
            client.close()


async def test_one_stream_too_many_is_refused_in_words(
    role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, with when to come back; the others go on, and a place that is left is free."""
    monkeypatch.setattr(sse, "MAX_STREAMS", 3)
    always_news(monkeypatch, b"event: live\ndata: 1\n\n")
    token = await role.token()
    async with serving(role) as port:
        clients = [await watch(port, token, "shop") for _ in range(3)]

        async def are_open() -> bool:
            return await metric(role, "headrace_query_streams") == 3

        await eventually_async(are_open, within_seconds=30, what="all are open")
        refused = await answer(await watch(port, token, "shop"))
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in refused
        assert b'"code":"overloaded"' in refused

        clients.pop().close()

        async def is_taken() -> bool:
            client = await watch(port, token, "shop")
            clients.append(client)
            return (await answer(client)).startswith(b"HTTP/1.1 200")

        await eventually_async(is_taken, within_seconds=30, what="the free place is taken")
        for client in clients:
            client.close()
