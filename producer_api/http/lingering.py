"""Sends responses, also those of requests whose body was not read to its end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from producer_api.http.body import Receive
from producer_api.http.responses import Response

Send = Callable[[Any], Any]

#: The rest of a rejected request that is read and discarded, because most clients read the response
#: only after they have sent everything.
_LINGER_BYTES = 64 * 1024 * 1024
_LINGER_SECONDS = 10.0


async def send_response(response: Response, receive: Receive, send: Send) -> None:
    """Send a response; one that closes the connection after its request was received."""
    await send(
        {"type": "http.response.start", "status": response.status, "headers": response.headers}
    )
    if not response.closes:
        await send({"type": "http.response.body", "body": response.body})
        return
    # Closing a socket with unread input resets the connection, and the client may lose the
    # response.
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            await _discard(receive)
    await send({"type": "http.response.body", "body": b""})


async def _discard(receive: Receive) -> None:
    discarded = 0
    while discarded < _LINGER_BYTES:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return
        discarded += len(message.get("body", b""))
