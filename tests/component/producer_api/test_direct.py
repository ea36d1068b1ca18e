"""The fast path, compared with requests over ASGI."""

import asyncio
import json
from typing import Any

import pytest
from uvicorn.server import ServerState

from producer_api.events.client import Client
from producer_api.events.draft import EncodedEvent, EventContext
from producer_api.events.fast_parse import read_fast
from producer_api.http import intake
from producer_api.http.app import Api
from producer_api.http.slow_connections import close_slow_connections
from schemas.root_path import RootPath
from schemas.trusted_proxies import TrustedProxies
from tests.component.producer_api.conftest import SHORT_DEADLINE_SECONDS, client_of, new_api
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.component.producer_api.test_connections import EVENT, connected, head
from tests.fixtures.waiting import eventually_async

WITH_ID = json.dumps(
    {
        "type": "copy",
        "site_id": "shop",
        "session_id": "s",
        "event_id": "0197c2a4-7d1b-7c3e-9a55-2b8f6d0e4c11",
    }
).encode()
GET = b"GET /healthz HTTP/1.1\r\nHost: headrace\r\n\r\n"


class AsgiOnly:
    """An application without the fast path."""

    def __init__(self, api: Api) -> None:
        self.requests = 0
        self._api = api

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, and count it."""
        self.requests += 1
        await self._api(scope, receive, send)


class WithFastPath(AsgiOnly):
    """An application with the fast path."""

    def __init__(self, api: Api) -> None:
        super().__init__(api)
        self.intake = api.intake


def request(*lines: bytes, body: bytes = WITH_ID) -> bytes:
    """Return a request with an event."""
    return head(*lines, length=len(body)) + body


@pytest.fixture
def app(api: Api) -> WithFastPath:
    """Return the application, which counts requests over ASGI."""
    return WithFastPath(api)


FAST_REQUESTS = [
    request(),
    request(b"Content-Type: text/plain\r\nConnection: keep-alive\r\n"),
    request(b"Origin: https://shop.example\r\n"),
    request(b"Origin: \x01\r\nUser-Agent: x\r\n"),
    request(body=b""),
    request(body=WITH_ID[:-1]),
    request(body=WITH_ID[:-1] + b', "own": 1}'),
]
ASGI_REQUESTS = [
    # Events without the required fields may be those of other systems' clients.
    request(b"Origin: https://shop.example\r\n", body=b"{}"),
    request(body=b"{}"),
    request(b"Connection: close\r\n"),
    request(b"Content-Encoding: gzip\r\n"),
    request(b"Proxy-Connection: keep-alive\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
    request(b"Expect: 100-continue\r\n"),
    request().replace(b"/api/event", b"/api/event?a=1"),
    request().replace(b"/api/event", b"/api/%65vent"),
    request().replace(b"HTTP/1.1", b"HTTP/1.0"),
    request(b"Connection: keep-alive\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
    request(body=WITH_ID.ljust(64 * 1024 + 1)),
    request().replace(b"POST", b"PUT"),
    GET,
]


@pytest.mark.parametrize("sent", [*FAST_REQUESTS, *ASGI_REQUESTS])
async def test_the_fast_path_responds_as_asgi_does(
    api: Api, app: WithFastPath, sent: bytes
) -> None:
    """The responses are equal byte for byte, and fast-path requests bypass ASGI."""
    async with connected(app) as client, connected(AsgiOnly(api)) as other:
        await client.send(sent)
        await other.send(sent)

        assert await client.response() == await other.response()
    assert app.requests == (sent not in FAST_REQUESTS)


async def test_the_fast_path_also_serves_events_below_the_root_path(app: WithFastPath) -> None:
    """A proxy may keep the root path or remove it; other spellings go over ASGI."""
    below = RootPath(app, "/headrace", TrustedProxies())
    async with connected(below, root_path="/headrace") as client:
        for path in (b"/headrace/api/event", b"/api/event", b"/headrace//api/event/"):
            await client.send(request().replace(b"/api/event", path))
            assert await client.status() == 202
    assert app.requests == 1


@pytest.mark.parametrize("sent", [request(), request(body=WITH_ID[:-1])])
async def test_read_fast_is_called_once_per_event(
    app: WithFastPath, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """Also for an event that it leaves to `parse`."""
    read: list[bytes] = []

    def count(raw: bytes, context: EventContext, client: Client) -> EncodedEvent | None:
        read.append(raw)
        return read_fast(raw, context, client)

    monkeypatch.setattr(intake, "read_fast", count)
    async with connected(app) as client:
        await client.send(sent)
        await client.response()

    assert len(read) == 1


@pytest.mark.parametrize("cut", [1, 30, len(request()) - len(WITH_ID), len(request()) - 1])
async def test_split_requests_are_left_to_asgi(
    app: WithFastPath, fake: FakeKafka, cut: int
) -> None:
    """No data is lost, and the connection stays open."""
    async with connected(app) as client:
        await client.send(request()[:cut], request()[cut:], request())

        assert [await client.status() for _ in range(2)] == [202, 202]
    assert fake.stored[0].value == fake.stored[1].value


async def test_pipelined_responses_are_in_order(app: WithFastPath, fake: FakeKafka) -> None:
    """Even if the first waits for Kafka and the second does not."""
    fake.responds.clear()
    async with connected(app) as client:
        await client.send((request() + GET) * 2 + request())
        fake.responds.set()

        assert [await client.status() for _ in range(5)] == [202, 200, 202, 200, 202]
    assert len(fake.stored) == 3


async def test_a_failed_event_gets_500_as_over_asgi(
    app: WithFastPath, api: Api, fake: FakeKafka
) -> None:
    """It is counted as failed, and the connection stays open."""
    async with connected(app) as client, connected(AsgiOnly(api)) as other:
        fake.fails = True
        await client.send(request())
        await other.send(request())
        failed = await client.response()
        fake.fails = False
        await client.send(request())

        assert failed == await other.response()
        assert (b" 500 " in failed, b"retry-after: 1" in failed) == (True, True)
        assert await client.status() == 202
    async with client_of(api) as http:
        text = (await http.get("/metrics")).text
    assert "headrace_api_events_failed_total 2.0" in text
    assert 'headrace_api_events_accepted_total{type="copy"} 1.0' in text
    assert "headrace_api_request_seconds_count 3.0" in text
    assert 'headrace_api_requests_total{route="/api/event",status="500"} 2.0' in text
    assert 'headrace_api_requests_total{route="/api/event",status="202"} 1.0' in text


async def test_an_unresponsive_kafka_causes_500_at_the_deadline(fake: FakeKafka) -> None:
    """The request does not wait longer."""
    api = new_api(fake, SHORT_DEADLINE_SECONDS)
    await api.start()
    fake.responds.clear()
    async with connected(WithFastPath(api)) as client:
        await client.send(request())

        assert await client.status() == 500


async def test_without_kafka_the_response_is_500_as_over_asgi() -> None:
    """It is sent at once."""
    api = new_api(FakeKafka(partitions=0))
    await api.start()
    async with connected(WithFastPath(api)) as client, connected(AsgiOnly(api)) as other:
        await client.send(request())
        await other.send(request())
        response = await client.response()

        assert response == await other.response()
        assert b'"code":"not_accepted"' in response


async def test_an_overloaded_server_responds_503(
    app: WithFastPath, api: Api, fake: FakeKafka
) -> None:
    """The rejected event is not stored."""
    fake.responds.clear()
    large = {**json.loads(EVENT), "properties": {"a": "x" * 8_000}}
    async with connected(app) as client, client_of(api) as http:
        first = asyncio.create_task(http.post("/api/events", json=[large] * 128))
        await eventually_async(
            lambda: fake.batches, within_seconds=15, what="the batch is in flight"
        )
        await client.send(request(body=json.dumps(large).encode()))

        response = await client.response()
        fake.responds.set()
        assert (response.split()[1], b'"code":"overloaded"' in response) == (b"503", True)
        assert (await first).status_code == 202
    assert len(fake.stored) == 128


async def test_a_stopping_server_finishes_requests_in_flight(
    app: WithFastPath, api: Api, fake: FakeKafka
) -> None:
    """New requests are rejected; the last response closes the connection."""
    fake.responds.clear()
    state = ServerState()
    async with connected(app, state) as client, client_of(api) as http:
        await client.send(request())
        drained = asyncio.create_task(api.drain())
        await asyncio.sleep(0)
        for connection in list(state.connections):
            connection.shutdown()
        late = await http.post("/api/event", content=EVENT)
        assert (late.status_code, drained.done()) == (503, False)
        fake.responds.set()

        response = await client.response()
        assert (response.split()[1], b"connection: close" in response) == (b"202", True)
        assert await client.is_closed()
        await asyncio.wait_for(drained, 5)


async def test_the_server_does_not_wait_for_a_disconnected_client(
    app: WithFastPath, api: Api, fake: FakeKafka
) -> None:
    """Its event is stored."""
    fake.responds.clear()
    state = ServerState()
    async with connected(app, state) as client:
        await client.send(request())
        client.writer.close()
        await eventually_async(
            lambda: not state.connections, within_seconds=10, what="the server notices"
        )
        fake.responds.set()

        await asyncio.wait_for(api.drain(), 5)
    assert len(fake.stored) == 1


async def test_an_idle_connection_is_closed(app: WithFastPath) -> None:
    """After uvicorn's keep-alive timeout, and not while it is in use."""
    state = ServerState()
    async with connected(app, state) as client:
        await client.send(request())
        assert await client.status() == 202
        close_slow_connections(state.connections)
        await client.send(request())
        assert await client.status() == 202

        for connection in state.connections:
            vars(connection)["timeout_keep_alive"] = 0
        close_slow_connections(state.connections)
        assert await client.is_closed()
