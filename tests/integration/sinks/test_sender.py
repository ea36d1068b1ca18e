"""Single delivery attempts over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from sinks.delivery import sender as sender_module
from sinks.delivery.schedule import Outcome
from sinks.delivery.sender import CheckingResolver, Sender
from sinks.sql.types import now_utc
from tests.contract.sinks.subscribed import SECRET
from tests.integration.sinks.receivers import Receiver, failing, good, hanging, receiving

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
BODY = '{"type":"test","data":{"title":"ä"}}'


async def send(url: str, *, allow_private: bool = True, **more: Any) -> Outcome:
    """Send a message."""
    async with Sender(allow_private=allow_private, **more) as sender:
        return await sender.send(url, SECRET, "d-1", BODY, now_utc())


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    """Run a server with a raw response; yield its port."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def resolving(*answers: str) -> Callable[..., Any]:
    """Return a `getaddrinfo` that returns one address after the other, repeating the last."""
    left = list(answers)

    def resolve(_host: str, port: int, **_: Any) -> list[Any]:
        address = left.pop(0) if len(left) > 1 else left[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    return resolve


async def test_a_message_is_signed_and_has_the_id_of_its_delivery() -> None:
    """Verified by the Standard Webhooks library; the body is unchanged."""
    async with receiving(good) as receiver:
        outcome = await send(receiver.url)

    (message,) = receiver.messages
    assert outcome[:2] == (204, None)
    assert message.body == BODY.encode()
    assert message.headers["webhook-id"] == "d-1"
    assert message.headers["Content-Type"] == "application/json"
    assert message.verified(SECRET)["data"]["title"] == "ä"


@pytest.mark.parametrize("target", ["/a%2Fb%20c+d;e//f/../g?", "/?x=%2f&y=a+b&", "/%C3%A9?a?b"])
async def test_a_receiver_gets_the_bytes_of_the_url(target: str) -> None:
    """Nothing is decoded, joined or normalized."""
    lines = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        writer.close()

    async with serving(serve) as port:
        await send(f"http://127.0.0.1:{port}{target}")

    assert lines == [f"POST {target} HTTP/1.1\r\n".encode()]


async def test_a_redirect_is_not_followed() -> None:
    """Not even to an allowed address."""
    async with receiving(good) as inside, receiving(_redirect_to(inside)) as receiver:
        outcome = await send(receiver.url)

    assert outcome[:2] == (307, None)
    assert len(receiver.messages) == 1
    assert inside.messages == []


def _redirect_to(inside: Receiver) -> Any:
    async def behave(_number: int, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": inside.url})

    return behave


async def test_an_attempt_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """After fifteen seconds; less in this test."""
    monkeypatch.setattr(sender_module, "TIMEOUT_SECONDS", 0.3)
    async with receiving(hanging) as receiver:
        outcome = await send(receiver.url)

    assert outcome.status is None
    assert "no response" in (outcome.error or "")
    assert 300 <= outcome.duration_ms < 3_000


async def test_retry_after_is_returned() -> None:
    """With the outcome."""
    async with receiving(failing(1, 503, Retry_After="120")) as receiver:
        assert (await send(receiver.url)).retry_after == "120"


async def test_an_endless_response_is_not_read() -> None:
    """Only the status is needed."""
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
                sent += 65_536
        except OSError:
            writer.close()

    async with serving(serve) as port:
        outcome = await asyncio.wait_for(send(f"http://127.0.0.1:{port}/"), 10)

    assert outcome[:2] == (200, None)
    assert sent < 32 * 1024 * 1024  # what the kernel's buffers took


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 200 OK\r\nx" * 9_999])
async def test_an_invalid_response_is_not_quoted(answer: bytes) -> None:
    """It could reveal data of an internal service to the subscriber."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with serving(serve) as port:
        outcome = await send(f"http://127.0.0.1:{port}/")

    assert outcome.status is None
    assert outcome.error
    assert "SSH" not in outcome.error
    assert "127" not in outcome.error


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"]
)
async def test_a_name_with_a_private_address_is_not_connected_to(address: str) -> None:
    """No packet is sent."""
    connected = []

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(1)
        writer.close()

    async with serving(serve) as port:
        sender_ports = (443, 8443, port)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sinks.delivery.addresses.PORTS", sender_ports)
            outcome = await send(
                f"https://hooks.example:{port}/",
                allow_private=False,
                getaddrinfo=resolving(address),
            )

    assert outcome[:2] == (None, "the host's address is not public")
    assert connected == []


async def test_dns_rebinding_is_prevented() -> None:
    """The name is public when it is checked and private when it is resolved again."""
    connected = []
    answer = resolving("1.1.1.1", "127.0.0.1")

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(1)
        writer.close()

    checking = CheckingResolver(allow_private=False, getaddrinfo=answer)
    (found,) = await checking.resolve("hooks.example", 443)
    await checking.close()
    async with serving(serve) as port:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sinks.delivery.addresses.PORTS", (port,))
            url = f"https://hooks.example:{port}/"
            outcome = await send(url, allow_private=False, getaddrinfo=answer)

    assert found["host"] == "1.1.1.1"
    assert outcome.error == "the host's address is not public"
    assert connected == []


async def test_the_address_is_checked_when_the_socket_is_created(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even if the earlier checks fail to reject it."""
    connected = []

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(1)
        writer.close()

    async with serving(serve) as port:
        monkeypatch.setattr("sinks.delivery.addresses.PORTS", (port,))
        monkeypatch.setattr("sinks.delivery.addresses._check_host", lambda *_, **__: None)
        outcome = await send(f"https://127.0.0.1:{port}/", allow_private=False)

    assert outcome[:2] == (None, "the host's address is not public")
    assert connected == []


async def test_environment_proxies_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve names itself."""
    async with receiving(good) as proxy, receiving(good) as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        await send(receiver.url)

    assert proxy.messages == []
    assert len(receiver.messages) == 1


async def test_a_hanging_lookup_does_not_block_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are resolved in a thread pool."""
    monkeypatch.setattr(sender_module, "TIMEOUT_SECONDS", 1.0)
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def resolve(host: str, port: int, **more: Any) -> Any:
        if host == "hangs.example":
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        return resolving("127.0.0.1")(host, port, **more)

    async with receiving(good) as receiver, Sender(allow_private=True, getaddrinfo=resolve) as one:
        hanging_ones = [
            asyncio.create_task(one.send("http://hangs.example/", SECRET, "d", BODY, now_utc()))
            for _ in range(8)
        ]
        url = receiver.url.replace("127.0.0.1", "good.example")
        outcome = await one.send(url, SECRET, "d", BODY, now_utc())
        assert outcome.status == 204
        assert outcome.duration_ms < 900
        release.set()
        await asyncio.gather(*hanging_ones)
