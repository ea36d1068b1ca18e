"""Server-sent events without a queue per client.

Each poll sends the newest data, so a slow client skips outdated counters and does not delay others.
Only the small write buffer of its connection holds data for it. A client that reads nothing for
`SEND_TIMEOUT_SECONDS` is disconnected, once the buffers on both sides are full.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress

from fastapi import Response
from starlette.types import Receive, Scope, Send

from query_api.errors import ApiError, overloaded
from query_api.metrics import Metrics
from query_api.request_body import wait_for_disconnect
from schemas.asgi_extensions import LIMIT_WRITE_BUFFER

HEARTBEAT_SECONDS = 15.0
#: The reconnection time that is sent to clients.
RETRY_MS = 2_000
POLL_SECONDS = 0.5
SEND_TIMEOUT_SECONDS = 10.0
#: Size of a write. All clients share the rest of a message, which is not copied.
CHUNK_BYTES = 16 * 1024
#: How long to wait until the server has closed the connection of such a client.
_CLOSE_SECONDS = 30.0
#: Interval of token checks.
TOKEN_CHECK_SECONDS = 5.0
#: Maximum number of open streams.
MAX_STREAMS = 2_000
#: Default limits of open streams per token, and of all tokens per site.
MAX_STREAMS_PER_TOKEN = 500
MAX_STREAMS_PER_SITE = 1_000

_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
_HEARTBEAT = b": \n\n"


#: Returns the messages since the last call, b"" if there are none.
Source = Callable[[], Awaitable[bytes]]


class Streams:
    """The open streams of a server, and their limits. Setting `stopping` ends them."""

    def __init__(self, metrics: Metrics) -> None:
        self.stopping = asyncio.Event()
        self.max_per_token = MAX_STREAMS_PER_TOKEN
        self.max_per_site = MAX_STREAMS_PER_SITE
        self.metrics = metrics
        self._open: Counter[str] = Counter()
        self._of_sites: Counter[str] = Counter()

    @contextmanager
    def admit(self, token_id: str, site_id: str) -> Iterator[None]:
        """Count a stream of a token and a site while it is open. Raise `ApiError` over a limit."""
        if self._open.total() >= MAX_STREAMS:
            raise overloaded()
        for owner, count, limit in (
            ("This token", self._open[token_id], self.max_per_token),
            ("This site", self._of_sites[site_id], self.max_per_site),
        ):
            if count >= limit:
                sentence = f"{owner} has {limit} open streams, which is the limit"
                raise ApiError("too_many_streams", f"{sentence}; close one first", retry_after="5")
        self._count(token_id, site_id, 1)
        try:
            yield
        finally:
            self._count(token_id, site_id, -1)

    def _count(self, token_id: str, site_id: str, change: int) -> None:
        self._open[token_id] += change
        self._of_sites[site_id] += change
        # Remove zeros.
        self._open += Counter()
        self._of_sites += Counter()
        self.metrics.streams.set(self._open.total())


class EventStream(Response):
    """A response that streams events while `is_authorized` returns True.

    `token_id` identifies the token of the request, `site_id` the site of the stream. The response
    to HEAD has no events.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        source: Source,
        is_authorized: Callable[[], Awaitable[bool]],
        token_id: str,
        site_id: str,
        streams: Streams,
    ) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self.headers["content-type"] = self.media_type  # UTF-8 by definition
        self._source = source
        self._is_authorized = is_authorized
        self._owner = (token_id, site_id)
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve until the client is gone or stops reading, the token is revoked, or shutdown."""
        state = scope["state"]
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        if state["method"] == "HEAD":
            await send(start)
            await send({"type": "http.response.body", "body": b""})
            return
        with self._streams.admit(*self._owner):
            # Only some servers support this extension.
            state.get(LIMIT_WRITE_BUFFER, lambda: None)()
            await send(start)
            if not await serve(
                self._source, self._is_authorized, receive, send, self._streams.stopping
            ):
                self._streams.metrics.dropped.inc()


def event(name: str, data: bytes, event_id: str | None = None) -> bytes:
    """Return an encoded event. `data` must be one line."""
    id_line = b"" if event_id is None else b"id: %b\n" % event_id.encode()
    return b"%bevent: %b\ndata: %b\n\n" % (id_line, name.encode(), data)


async def serve(
    source: Source,
    is_authorized: Callable[[], Awaitable[bool]],
    receive: Receive,
    send: Send,
    stopping: asyncio.Event,
) -> bool:
    """Send events until the client disconnects or is no longer authorized, or `stopping` is set.

    Return False if the client did not read.
    """
    disconnected = asyncio.ensure_future(wait_for_disconnect(receive))
    messages = aclosing(_messages(source, is_authorized, disconnected, stopping))
    try:
        async with messages as pending, asyncio.timeout(None) as send_timeout:
            async for message in pending:
                await _send_chunks(message, send, send_timeout)
    except TimeoutError:
        await asyncio.wait([disconnected], timeout=_CLOSE_SECONDS)
        return False
    finally:
        disconnected.cancel()
        with suppress(asyncio.CancelledError):
            await disconnected
    await send({"type": "http.response.body", "body": b""})
    return True


async def _messages(
    source: Source,
    is_authorized: Callable[[], Awaitable[bool]],
    disconnected: asyncio.Future[None],
    stopping: asyncio.Event,
) -> AsyncGenerator[bytes]:
    """Yield messages and heartbeats until `serve` has to end."""
    clock = asyncio.get_running_loop().time
    yielded = checked = clock()
    # Separate, so that the first message is not copied.
    yield b"retry: %d\n\n" % RETRY_MS
    while True:
        message = await source()
        if not message and clock() - yielded >= HEARTBEAT_SECONDS:
            message = _HEARTBEAT
        if message:
            yielded = clock()
            yield message
        await asyncio.wait([disconnected], timeout=POLL_SECONDS)
        if disconnected.done() or stopping.is_set():
            return
        if clock() - checked >= TOKEN_CHECK_SECONDS:
            checked = clock()
            if not await is_authorized():
                return


async def _send_chunks(message: bytes, send: Send, send_timeout: asyncio.Timeout) -> None:
    clock = asyncio.get_running_loop().time
    for start in range(0, len(message), CHUNK_BYTES):
        chunk = message[start : start + CHUNK_BYTES]
        send_timeout.reschedule(clock() + SEND_TIMEOUT_SECONDS)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    send_timeout.reschedule(None)
