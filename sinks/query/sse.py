"""Server-sent events, without a queue for each client.

A client has no queue but the connection's own buffer, which is small: at each turn it is sent
what is new, so a slow one misses outdated numbers and delays nobody. One that takes nothing for
`SEND_SECONDS` is dropped. That shows only when its system's buffer and ours are full; until then
a client that never reads costs no more than one that does.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from fastapi import Response
from starlette.types import Receive, Scope, Send

from schemas.asgi import LIMIT_WRITE_BUFFER
from sinks.query.body import until_disconnected
from sinks.query.errors import ApiError, overloaded
from sinks.query.metrics import Metrics

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
#: Streams that are open at the same time.
MAX_STREAMS = 2_000
#: Of them, with one token.
MAX_STREAMS_PER_TOKEN = 500

_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
_HEARTBEAT = b": \n\n"


#: Returns the messages since the last call; empty bytes when there is nothing new.
Source = Callable[[], Awaitable[bytes]]


class Streams:
    """The open streams of a server, and their limits; `stopping` ends them."""

    def __init__(self, metrics: Metrics) -> None:
        self.stopping = asyncio.Event()
        self.max_per_token = MAX_STREAMS_PER_TOKEN
        self.metrics = metrics
        self._open: Counter[str] = Counter()

    @contextmanager
    def admitted(self, token_id: str) -> Iterator[None]:
        """Count a stream of a token while it is open; an error if it is over a limit."""
        if self._open.total() >= MAX_STREAMS:
            raise overloaded()
        if self._open[token_id] >= self.max_per_token:
            sentence = f"This token has {self.max_per_token} streams open, the most there may be"
            raise ApiError("too_many_streams", f"{sentence}; close one first", retry_after="5")
        self._count(token_id, 1)
        try:
            yield
        finally:
            self._count(token_id, -1)

    def _count(self, token_id: str, change: int) -> None:
        self._open[token_id] += change
        self._open += Counter()  # without the tokens that have none
        self.metrics.streams.set(self._open.total())


class EventStream(Response):
    """A response that does not end; `may_go_on` is awaited now and then.

    `token_id` is of the token that it was requested with. To HEAD, it has no events.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        source: Source,
        may_go_on: Callable[[], Awaitable[bool]],
        token_id: str,
        streams: Streams,
    ) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self.headers["content-type"] = self.media_type  # UTF-8 by definition
        self._source = source
        self._may_go_on = may_go_on
        self._token_id = token_id
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve until the client goes, is dropped or may not go on, or the server stops."""
        state = scope["state"]
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        if state["method"] == "HEAD":
            await send(start)
            await send({"type": "http.response.body", "body": b""})
            return
        with self._streams.admitted(self._token_id):
            # Where a server offers it; else the connection keeps what it keeps.
            state.get(LIMIT_WRITE_BUFFER, lambda: None)()
            await send(start)
            if not await serve(
                self._source, self._may_go_on, receive, send, self._streams.stopping
            ):
                self._streams.metrics.dropped.inc()


def event(name: str, data: bytes, event_id: str | None = None) -> bytes:
    """Return a message; `data` is JSON on one line."""
    number = b"" if event_id is None else b"id: %b\n" % event_id.encode()
    return b"%bevent: %b\ndata: %b\n\n" % (number, name.encode(), data)


async def serve(
    source: Source,
    may_go_on: Callable[[], Awaitable[bool]],
    receive: Receive,
    send: Send,
    stopping: asyncio.Event,
) -> bool:
    """Send events until the client goes or is dropped (then False), may not go on, or we stop."""
    gone = asyncio.ensure_future(until_disconnected(receive))
    try:
        async with asyncio.timeout(None) as patience:
            await _turns(source, may_go_on, send, gone, stopping, patience)
    except TimeoutError:
        await asyncio.wait([gone], timeout=_END_SECONDS)
        return False
    finally:
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone
    await send({"type": "http.response.body", "body": b""})
    return True


async def _turns(  # noqa: PLR0913, PLR0917 - all that it waits for
    source: Source,
    may_go_on: Callable[[], Awaitable[bool]],
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
        message = await source()
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
            if not await may_go_on():
                return


async def _send_pieces(message: bytes, send: Send, patience: asyncio.Timeout) -> None:
    clock = asyncio.get_running_loop().time
    for start in range(0, len(message), PIECE_BYTES):
        piece = message[start : start + PIECE_BYTES]
        patience.reschedule(clock() + SEND_SECONDS)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    patience.reschedule(None)
