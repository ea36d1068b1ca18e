"""Server-sent events: one client at a time, and none waited for.

A client has no queue but the connection's own buffer: at each turn it is sent what is new, so
one that is slow misses numbers that are over, and holds nobody back. One that takes nothing
for `SEND_SECONDS` is dropped.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

HEARTBEAT_SECONDS = 15.0
#: Until a client comes back by itself.
RETRY_MS = 2_000
TURN_SECONDS = 0.5
SEND_SECONDS = 10.0
#: For the server to end the connection of one that was dropped.
_END_SECONDS = 30.0
#: How often it is seen whether the token is still good.
CHECK_SECONDS = 5.0

_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),
]
_HEARTBEAT = b": \n\n"


class Source(Protocol):
    """What a client is sent."""

    async def news(self) -> bytes:
        """Return the messages since the last call; empty when there is nothing new."""


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that does not end; `may_go_on` is asked now and then."""

    source: Source
    may_go_on: Callable[[], Awaitable[bool]]


def event(name: str, data: bytes, event_id: str | None = None) -> bytes:
    """Return a message; `data` is JSON on one line."""
    told = b"" if event_id is None else b"id: %b\n" % event_id.encode()
    return b"%bevent: %b\ndata: %b\n\n" % (told, name.encode(), data)


async def serve(stream: Stream, receive: Receive, send: Send, stopping: asyncio.Event) -> bool:
    """Serve until the client goes or is dropped (then False), may not go on, or we stop."""
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    gone = asyncio.ensure_future(_gone(receive))
    try:
        async with asyncio.timeout(None) as patience:
            await _turns(stream, send, gone, stopping, patience)
    except TimeoutError:
        await asyncio.wait([gone], timeout=_END_SECONDS)
        return False
    finally:
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone
    await send({"type": "http.response.body", "body": b""})
    return True


async def _turns(
    stream: Stream,
    send: Send,
    gone: asyncio.Future[None],
    stopping: asyncio.Event,
    patience: asyncio.Timeout,
) -> None:
    clock = asyncio.get_running_loop().time
    message = b"retry: %d\n\n" % RETRY_MS
    sent = checked = clock()
    while True:
        message += await stream.source.news()
        if not message and clock() - sent >= HEARTBEAT_SECONDS:
            message = _HEARTBEAT
        if message:
            sent = clock()
            patience.reschedule(sent + SEND_SECONDS)
            await send({"type": "http.response.body", "body": message, "more_body": True})
            patience.reschedule(None)
            message = b""
        await asyncio.wait([gone], timeout=TURN_SECONDS)
        if gone.done() or stopping.is_set():
            return
        if clock() - checked >= CHECK_SECONDS:
            checked = clock()
            if not await stream.may_go_on():
                return


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
