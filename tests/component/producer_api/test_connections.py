"""The server's protocol, over raw connections."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from prometheus_client import generate_latest
from uvicorn.server import ServerState

from producer_api.http import slow_connections
from producer_api.http.app import Api
from producer_api.http.fast_protocol import protocol_with_limits
from producer_api.http.slow_connections import close_slow_connections, close_unfinished_connections
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.fixtures.waiting import eventually_async

EVENT = json.dumps({"type": "copy", "site_id": "shop", "session_id": "s"}).encode()
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
BLANK = b"\r\n"


def head(*lines: bytes, length: int = len(EVENT)) -> bytes:
    """Return the head of a request with an event."""
    return b"POST /api/event HTTP/1.1\r\nHost: headrace\r\nContent-Length: %d\r\n%b\r\n" % (
        length,
        b"".join(lines),
    )


class Client:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def send(self, *packets: bytes) -> None:
        """Send each packet on its own."""
        for packet in packets:
            self.writer.write(packet)
            await self.writer.drain()
            await asyncio.sleep(0.02)

    async def head(self) -> bytes:
        """Read one response up to its body."""
        return await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 10)

    async def response(self) -> bytes:
        """Read one response."""
        head = await self.head()
        (_, _, length) = head.lower().partition(b"content-length: ")
        return head + await self._reader.readexactly(int(length.partition(b"\r\n")[0] or 0))

    async def status(self) -> int:
        """Read one response and return its status."""
        return int((await self.response()).split()[1])

    async def is_closed(self) -> bool:
        """Return True if the server closes without sending more."""
        return await asyncio.wait_for(self._reader.read(), 10) == b""


@asynccontextmanager
async def connected(
    api: Any, state: ServerState | None = None, limit: int = 10, root_path: str = ""
) -> AsyncIterator[Client]:
    """Serve the application to up to `limit` connections, and connect to it."""
    protocol = protocol_with_limits(limit, root_path=root_path)
    config = uvicorn.Config(
        api, http=protocol, ws="none", lifespan="off", log_config=None, proxy_headers=False
    )
    config.load()
    state = state or ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: protocol(config, state, {}), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    (reader, writer) = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        server.close()


@pytest.fixture
async def client(api: Api) -> AsyncIterator[Client]:
    """Yield a raw connection to the application."""
    async with connected(api) as client:
        yield client


@pytest.mark.parametrize("upgrade", [H2C, b"Connection: upgrade\r\nUpgrade: websocket\r\n"])
@pytest.mark.parametrize("cut", [0, 10, 60, len(head(H2C)) - 2, len(head(H2C)) + 5, None])
async def test_upgrades_are_ignored(
    client: Client, fake: FakeKafka, upgrade: bytes, cut: int | None
) -> None:
    """Wherever the packets are split; the connection stays open for later requests."""
    request = head(upgrade) + EVENT
    for _ in range(2):
        await client.send(*([request] if cut is None else [request[:cut], request[cut:]]))
        assert await client.status() == 202
    await client.send(head(), EVENT)
    assert await client.status() == 202

    assert len(fake.stored) == 3


async def test_upgrades_in_a_pipeline_are_ignored(client: Client, fake: FakeKafka) -> None:
    """Each request keeps its own body."""
    chunked = (
        b"POST /api/event HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n%b\r\n"
        b"%x\r\n%b\r\n0\r\n\r\n" % (H2C, len(EVENT), EVENT)
    )
    get = b"GET /healthz HTTP/1.1\r\nHost: h\r\n" + H2C + BLANK

    await client.send((head(H2C) + EVENT + chunked + get) * 2)

    assert [await client.status() for _ in range(6)] == [202, 202, 200] * 2
    assert len(fake.stored) == 4


async def test_other_connection_options_beside_an_upgrade_are_kept(client: Client) -> None:
    """`Connection: close, Upgrade` closes the connection."""
    await client.send(head(b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n"), EVENT)

    assert await client.status() == 202
    assert await client.is_closed()


async def test_connect_is_rejected(client: Client) -> None:
    """It cannot be parsed again without its upgrade."""
    await client.send(b"CONNECT other:80 HTTP/1.1\r\nHost: other\r\n\r\n")

    assert await client.status() == 400


@pytest.mark.parametrize("upgrade", [b"", H2C])
@pytest.mark.parametrize("cut", [None, 1_000, 65_000, 99_000])
async def test_headers_over_the_limit_are_rejected(
    client: Client, fake: FakeKafka, cut: int | None, upgrade: bytes
) -> None:
    """Whether they arrive in one packet or several; the event is not stored."""
    request = head(upgrade, b"X: " + b"x" * 100_000 + BLANK) + EVENT
    await client.send(*([request] if cut is None else [request[:cut], request[cut:]]))

    assert await client.status() == 431
    assert await client.is_closed()
    assert fake.stored == []


async def test_the_sizes_of_headers_are_added(client: Client) -> None:
    """The limit also applies to the second request of a connection."""
    await client.send(head() + EVENT)
    assert await client.status() == 202

    await client.send(head(b"X: headrace\r\n" * 7_000))

    assert await client.status() == 431


async def test_the_request_target_counts_as_well(client: Client) -> None:
    """It is part of the head."""
    await client.send(b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n")

    assert await client.status() == 431


async def test_bodies_do_not_count_as_headers(client: Client) -> None:
    """Nor do other requests in the same packet."""
    large = head(b"X: " + b"x" * 60_000 + BLANK, length=60_000) + EVENT.ljust(60_000)

    await client.send(large + large + head()[:20], head()[20:] + EVENT)

    assert [await client.status() for _ in range(3)] == [202] * 3


ORIGIN = b"Origin: https://shop.example\r\n"
ECHO = b"\r\naccess-control-allow-origin: https://shop.example\r\n"


def _raw(target: bytes, *lines: bytes) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: h\r\n%b" % (target, b"".join(lines))


@pytest.mark.parametrize(
    ("target", "rest", "status"),
    [
        (b"/api/event", b"Accept: */*\r\nBad header: 1\r\n\r\n", b"400"),
        (b"//api/events/", b"Content-Length: x\r\n\r\n", b"400"),
        (b"http://h/api/event?a=1", b"Accept: */*\r\nBad header: 1\r\n\r\n", b"400"),
        (b"/api/event", b"X: " + b"x" * 70_000 + b"\r\n\r\n", b"431"),
        (b"/api/event", b"X: " + b"x" * 200_000, b"431"),
        (b"/api/%65vent", b"X: " + b"x" * 200_000, b"431"),
    ],
)
async def test_errors_before_the_application_have_cors_headers(
    client: Client, target: bytes, rest: bytes, status: bytes
) -> None:
    """If the path and the origin were parsed before the error."""
    await client.send(_raw(target, ORIGIN, rest))
    response = await client.response()

    assert response.split()[1] == status
    assert ECHO in response


@pytest.mark.parametrize(
    "sent",
    [
        _raw(b"/healthz", ORIGIN, b"Bad header: 1\r\n\r\n"),
        _raw(b"/api/event", b"Bad header: 1\r\n", ORIGIN, BLANK),
        _raw(b"/api/event", b"Origin: a\x01b\r\nBad header: 1\r\n\r\n"),
        b"nonsense\r\n\r\n",
    ],
)
async def test_errors_without_a_known_origin_have_no_cors_headers(
    client: Client, sent: bytes
) -> None:
    """Nor have errors on other paths; the origin of the previous request does not count."""
    await client.send(head(ORIGIN) + EVENT)
    assert await client.status() == 202

    await client.send(sent)
    received = await client._reader.read()  # noqa: SLF001

    assert b" 400 " in received
    assert b"access-control" not in received


@pytest.mark.parametrize("lines", [b"", b"Expect: 100-continue\r\n"])
@pytest.mark.parametrize(
    "later", [b"nonsense\r\n\r\n", head(b"X: " + b"x" * 100_000 + BLANK), head()[:20]]
)
async def test_an_error_never_replaces_the_response_to_an_earlier_request(
    api: Api, fake: FakeKafka, monkeypatch: pytest.MonkeyPatch, lines: bytes, later: bytes
) -> None:
    """Its event is stored; the response is the last one of the connection."""
    monkeypatch.setattr(slow_connections, "RECEIVE_SECONDS", 0.0)
    fake.responds.clear()
    state = ServerState()
    async with connected(api, state) as client:
        await client.send(head(lines) + EVENT + later)
        await eventually_async(lambda: fake.batches, within_seconds=15, what="it is in flight")
        close_slow_connections(state.connections)
        fake.responds.set()
        if lines:
            assert b" 100 " in await client.head()

        response = await client.response()
        assert (response.split()[1], b"connection: close" in response) == (b"202", True)
        assert await client.is_closed()
    assert len(fake.stored) == 1


async def test_an_incomplete_request_is_not_rejected_twice(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that was answered before its body was received gets no second response."""
    monkeypatch.setattr(slow_connections, "RECEIVE_SECONDS", 0.0)
    state = ServerState()
    async with connected(api, state) as client:
        await client.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{")
        assert await client.status() == 200
        close_slow_connections(state.connections)

        assert await client.is_closed()


async def test_errors_of_incomplete_requests_have_cors_headers(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of slow requests, and of incomplete ones when the server stops; and `Retry-After`."""
    monkeypatch.setattr(slow_connections, "RECEIVE_SECONDS", 0.0)
    closers = (
        close_slow_connections,
        close_unfinished_connections,
    )
    for close, status in zip(closers, (b"408", b"503"), strict=True):
        state = ServerState()
        async with connected(api, state) as client:
            await client.send(head(ORIGIN) + EVENT[:5])
            close(state.connections)
            response = await client.response()
        assert response.split()[1] == status
        assert ECHO in response
        assert b"retry-after: 1\r\n" in response


async def test_over_the_connection_limit_preflights_pass_and_503_has_cors_headers(
    api: Api,
) -> None:
    """If the preflight failed, the page could not read the 503."""
    for sent, status in (
        (head(ORIGIN) + EVENT, b"503"),
        (head(ORIGIN).replace(b"/api/event", b"//api/event/") + EVENT, b"503"),
        (head(ORIGIN, length=0).replace(b"POST", b"OPTIONS"), b"204"),
    ):
        async with connected(api, limit=0) as client:
            await client.send(sent)
            response = (await client._reader.readuntil(BLANK * 2)).lower()  # noqa: SLF001
        assert response.split()[1] == status
        assert ECHO in response


async def test_responses_before_the_application_are_counted(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By route, if the path was parsed before the error, by status and by reason."""
    for sent in (
        _raw(b"/api/event", b"X: " + b"x" * 70_000 + b"\r\n\r\n"),
        _raw(b"/evil", b"Bad header: 1\r\n\r\n"),
        b"nonsense\r\n\r\n",
    ):
        async with connected(api) as client:
            await client.send(sent)
            await client.response()
    async with connected(api, limit=0) as client:
        await client.send(_raw(b"/api/events", BLANK))
        await client.response()
    monkeypatch.setattr(slow_connections, "RECEIVE_SECONDS", 0.0)
    state = ServerState()
    async with connected(api, state) as client:
        await client.send(head() + EVENT[:5])
        close_slow_connections(state.connections)
        await client.response()

    text = generate_latest(api.metrics.registry).decode()
    assert sorted(re.findall(r"headrace_api_requests_total({.*)", text)) == [
        '{route="/api/event",status="408"} 1.0',
        '{route="/api/event",status="431"} 1.0',
        '{route="/api/events",status="503"} 1.0',
        '{route="none",status="400"} 2.0',
    ]
    rejected = re.findall(r'headrace_api_events_rejected_total{reason="(.*)"} ([1-9].*)', text)
    assert dict(rejected) == {
        "bad_request": "2.0",
        "headers_too_large": "1.0",
        "overloaded": "1.0",
        "request_too_slow": "1.0",
    }
