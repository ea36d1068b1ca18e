"""The limit of all request bodies together, over sockets."""

import asyncio
import gc
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from prometheus_client import generate_latest

from producer_api.events.rejection import Rejected
from producer_api.http.app import Api
from producer_api.http.body import MAX_BATCH_BYTES
from producer_api.http.create_app import create_app
from schemas.settings import ApiSettings, Settings
from tests.component.producer_api.conftest import client_of
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.component.producer_api.test_connections import EVENT, Client, connected, head
from tests.component.producer_api.test_direct import request
from tests.fixtures.serving import listening
from tests.fixtures.waiting import eventually_async

LIMIT = 16 * 1024 * 1024
SLOW = 100
SENT = bytes(1024 * 1024)
#: What the loop, the sockets' buffers and rejected requests may take as well.
OTHER_BYTES = 16 * 1024 * 1024
BATCH = json.dumps([json.loads(EVENT)]).encode()
SEGMENT = b'{"writeKey":"shop","batch":[{"type":"page","anonymousId":"a"}]}'
#: More bytes than are sent: the server waits for the rest.
INCOMPLETE = b"POST /api/events HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % MAX_BATCH_BYTES


@pytest.fixture
async def api(fake: FakeKafka) -> Api:
    """Return the started application."""
    settings = Settings(api=ApiSettings(sites="open", max_in_flight_bytes=LIMIT))
    api = create_app(settings, connection=fake)
    await api.start()
    return api


@pytest.fixture
async def client(api: Api) -> AsyncIterator[Client]:
    """Yield a raw connection to the application."""
    async with connected(api) as client:
        yield client


async def send_slowly(port: int, stack: AsyncExitStack) -> Client:
    """Send a part of a body on a new connection, which is closed at the end."""
    loop, connection = asyncio.get_running_loop(), socket.socket()
    stack.callback(connection.close)
    connection.setblocking(False)
    await loop.sock_connect(connection, ("127.0.0.1", port))
    # Not by a stream, which would keep a copy of what the server does not read.
    for part in (INCOMPLETE, SENT):
        await loop.sock_sendall(connection, part)
    client = Client(*await asyncio.open_connection(sock=connection))
    stack.callback(client.writer.close)
    return client


async def test_slow_large_bodies_take_bounded_memory(api: Api, fake: FakeKafka) -> None:
    """Those over the limit get 503; small requests are accepted, and large ones afterwards."""
    used = api.intake.body_bytes
    async with listening(api, 2 * SLOW) as port, AsyncExitStack() as stack:
        tracemalloc.start()
        try:
            slow = await asyncio.gather(*(send_slowly(port, stack) for _ in range(SLOW)))
            (_, peak) = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < LIMIT + OTHER_BYTES
        # Three quarters of the limit are for incomplete bodies.
        accepted = LIMIT * 3 // 4 // len(SENT)
        counted = {
            f'headrace_api_events_rejected_total{{reason="overloaded"}} {SLOW - accepted}.0',
            f'headrace_api_requests_total{{route="/api/events",status="503"}} {SLOW - accepted}.0',
            "headrace_api_in_flight_bytes 1.2582912e+07",
        }
        await eventually_async(
            lambda: counted <= {*generate_latest(api.metrics.registry).decode().splitlines()},
            within_seconds=15,
            what="those over the limit are rejected, and the bytes of the others are counted",
        )

        small = Client(*await asyncio.open_connection("127.0.0.1", port))
        stack.callback(small.writer.close)
        for packets in ([request()], [head(), EVENT[:5], EVENT[5:]]):
            await small.send(*packets)
            assert await small.status() == 202
        responses = [asyncio.create_task(one.response()) for one in slow]
        done, waiting = await asyncio.wait(responses, return_when=asyncio.FIRST_COMPLETED)
        response = done.pop().result()
        for task in waiting:
            task.cancel()
        assert (response.split()[1], b"retry-after: 1" in response) == (b"503", True)
        assert b'"code":"overloaded"' in response

    await eventually_async(lambda: not used.used, within_seconds=15, what="all are released")
    async with client_of(api) as http:
        large = await http.post("/api/events", content=BATCH.ljust(MAX_BATCH_BYTES))
    assert (large.status_code, used.used, len(fake.stored)) == (202, 0, 3)


async def test_a_client_that_disconnects_releases_its_bytes(api: Api) -> None:
    """Also before the limit is reached."""
    used = api.intake.body_bytes
    async with connected(api) as client:
        await client.send(INCOMPLETE, SENT)
        await eventually_async(
            lambda: used.used == len(SENT), within_seconds=15, what="the bytes are counted"
        )

    await eventually_async(lambda: not used.used, within_seconds=15, what="they are released")


@pytest.mark.parametrize(
    ("path", "body"), [("/api/event", EVENT), ("/api/events", BATCH), ("/v1/batch", SEGMENT)]
)
async def test_bodies_count_until_their_response(
    api: Api, fake: FakeKafka, path: str, body: bytes
) -> None:
    """Those of our own format, and those of other systems' clients."""
    fake.responds.clear()
    used = api.intake.body_bytes
    size = 20_000
    async with connected(api) as client:
        line = head(length=size).replace(b"/api/event", path.encode())
        # Native events do not keep their body, so the fast path does not count it.
        cut = size if path == "/api/event" else 0
        await client.send(line + body.ljust(size)[cut:], body.ljust(size)[:cut])
        await eventually_async(lambda: used.used == size, within_seconds=15, what="it is counted")

        fake.responds.set()
        assert await client.status() < 300
        assert used.used == 0


async def test_bodies_of_a_pipeline_count(api: Api, fake: FakeKafka, client: Client) -> None:
    """Although the application does not read them before the earlier response."""
    fake.responds.clear()
    large = head(length=60_000).replace(b"/api/event", b"/api/events")
    await client.send(request() + large + BATCH.ljust(60_000)[:50_000])
    await eventually_async(
        lambda: api.intake.body_bytes.used == 50_000, within_seconds=15, what="it is counted"
    )

    fake.responds.set()
    assert await client.status() == 202
    await client.send(b" " * 10_000)
    assert await client.status() == 202
    assert api.intake.body_bytes.used == 0


async def test_a_pipeline_over_the_limit_is_closed(
    api: Api, fake: FakeKafka, client: Client
) -> None:
    """Without a response: the next one is that of the earlier request."""
    fake.responds.clear()
    api.intake.body_bytes.limit = 0
    large = head(length=60_000).replace(b"/api/event", b"/api/events")

    await client.send(request() + large + BATCH.ljust(60_000)[:50_000])

    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await client.response()
    assert api.intake.body_bytes.used == 0
    text = generate_latest(api.metrics.registry).decode()
    assert 'rejected_total{reason="overloaded"} 1.0' in text


@pytest.mark.parametrize("path", ["/api/event", "/api/events", "/api/send"])
async def test_a_rejected_body_is_freed_at_once(api: Api, path: str) -> None:
    """A rejection that refers to itself would keep the body until the next garbage collection."""
    gc.collect()
    gc.disable()
    try:
        async with client_of(api) as http:
            for body in (b"[" * 60_000, b" " * 7_000_000):
                assert (await http.post(path, content=body)).status_code >= 400

        # A thread that decoded the body may still have it.
        await eventually_async(
            lambda: not any(isinstance(one, Rejected) for one in gc.get_objects()),
            within_seconds=15,
            what="the rejections are freed",
        )
    finally:
        gc.enable()
