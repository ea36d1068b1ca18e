"""Webhook receivers: local HTTP servers with configurable responses."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web
from standardwebhooks import Webhook

#: Handles a message, given its number from 0 and the request.
Behave = Callable[[int, web.Request], Awaitable[web.StreamResponse]]


class Message(NamedTuple):
    """A received request, with its time by the loop's clock."""

    at: float
    body: bytes
    headers: Mapping[str, str]

    def verified(self, secret: str) -> dict[str, Any]:
        """Verify the signature and return the body."""
        found: dict[str, Any] = Webhook(secret).verify(self.body, dict(self.headers))
        return found


@dataclass
class Receiver:
    """A receiver and the messages that it received."""

    url: str = ""
    messages: list[Message] = field(default_factory=list)

    def alert_ids(self) -> list[str]:
        """Return the alert ids of all messages, including repeats."""
        return [json.loads(message.body)["data"]["alert_id"] for message in self.messages]


async def good(_number: int, _request: web.Request) -> web.StreamResponse:
    """Accept the message."""
    return web.Response(status=204)


async def hanging(_number: int, _request: web.Request) -> web.StreamResponse:
    """Never respond."""
    await asyncio.Event().wait()
    raise AssertionError


def failing(first: int, status: int, **headers: str) -> Behave:
    """Return a handler that rejects the first messages with a status, and accepts the others."""

    async def behave(number: int, request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status if number < first else 200, headers=named)

    return behave


@asynccontextmanager
async def receiving(behave: Behave, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Run a receiver."""
    receiver = Receiver()

    async def handle(request: web.Request) -> web.StreamResponse:
        at = asyncio.get_running_loop().time()
        message = Message(at, await request.read(), dict(request.headers))
        receiver.messages.append(message)
        return await behave(len(receiver.messages) - 1, request)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http{'s' if tls else ''}://{host}:{port}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()
