"""Server-sent events: one client at a time, and none waited for.

A client has no queue but the connection's own buffer, which is small: at each turn it is sent
what is new, so one that is slow misses numbers that are over, and holds nobody back. One that
takes nothing for `SEND_SECONDS` is dropped. That can only be seen when its system's buffer and
ours are full; until then a client that never reads costs no more than one that does.
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
#: What is handed to the connection at once; the rest of a message is shared by its clients.
PIECE_BYTES = 16 * 1024
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
    sent = checked = clock()
    # By itself: joined to it, the first message would be another for each client.
    await _send_pieces(b"retry: %d\n\n" % RETRY_MS, send, patience)
    while True:
        message = await stream.source.news()
        if not message and clock() - sent >= HEARTBEAT_SECONDS:
            message = _HEARTBEAT
        if message:
            sent = clock()
            await _send_pieces(message, send, patience)
        await asyncio.wait([gone], timeout=TURN_SECONDS)
        if gone.done() or stopping.is_set():
            return
        if clock() - checked >= CHECK_SECONDS:
            checked = clock()
            if not await stream.may_go_on():
                return


async def _send_pieces(message: bytes, send: Send, patience: asyncio.Timeout) -> None:
    clock = asyncio.get_running_loop().time
    for start in range(0, len(message), PIECE_BYTES):
        piece = message[start : start + PIECE_BYTES]
        patience.reschedule(clock() + SEND_SECONDS)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    patience.reschedule(None)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
