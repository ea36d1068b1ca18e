"""Connections that would hold the server up: too many, too slow, unread, or all headers.

uvicorn bounds none of these; an application behind it cannot see them either.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from producer_api import answers
from producer_api.answers import Answer
from producer_api.rejected import Rejected
from schemas.reject_reasons import RejectReason

#: From a connection's begin, or a request's first byte, to that request's last byte.
RECEIVE_SECONDS = 15.0
MAX_HEAD_BYTES = 64 * 1024
#: For how long a client may read nothing of an answer that waits for it.
READ_SECONDS = 15.0
#: Of an answer, kept by the system for a client; else it would be megabytes.
SEND_BUFFER_BYTES = 64 * 1024

_REASONS = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


class GuardedProtocol(HttpToolsProtocol):
    """One connection; one over `max_connections` gets one answer, by `when_full`."""

    max_connections = 10_000

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._receiving_since: float | None = None
        self._head_bytes: int | None = None
        self._unread_since: float | None = None
        self._over_limit = False

    def connection_made(self, transport: Any) -> None:
        """Note when the connection began."""
        super().connection_made(transport)
        self._receiving_since = time.monotonic()
        if len(self.connections) > self.max_connections:
            self._over_limit = True
            self.app = when_full(self.app)

    def data_received(self, data: bytes) -> None:
        """Bound what may come before the headers end."""
        if self._receiving_since is None:
            self._receiving_since = time.monotonic()
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._end(Rejected(RejectReason.HEADERS_TOO_LARGE, limit=MAX_HEAD_BYTES))

    def on_message_begin(self) -> None:
        """Note when the request began."""
        super().on_message_begin()
        self._receiving_since = time.monotonic()
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Let the request begin; one on a connection too many is its last."""
        super().on_headers_complete()
        self._head_bytes = None
        if self._over_limit:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Note that the request is whole: from here on the time is ours."""
        super().on_message_complete()
        self._receiving_since = None

    def pause_writing(self) -> None:
        """Note since when the client reads nothing."""
        super().pause_writing()
        self._unread_since = time.monotonic()

    def resume_writing(self) -> None:
        """Note that it reads again."""
        super().resume_writing()
        self._unread_since = None

    def end_if_unread(self, since: float) -> None:
        """Cut the connection when its client has read nothing, from `since` or before."""
        if self._unread_since is not None and self._unread_since <= since:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's sentence is no JSON
        """Answer what is no HTTP."""
        self._end(Rejected(RejectReason.BAD_REQUEST))

    def end_if_receiving(self, since: float, rejected: Rejected) -> None:
        """End the connection when it waits for the rest of a request, from `since` or before."""
        if self._receiving_since is not None and self._receiving_since <= since:
            self._end(rejected)

    def _end(self, rejected: Rejected) -> None:
        if not self._is_answering():
            self.transport.write(_raw(answers.refusal(rejected)))
        self.transport.close()

    def _is_answering(self) -> bool:
        # uvicorn declares that there always is a cycle; before the first request there is none.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and cycle.response_started and not cycle.response_complete


def guarded(max_connections: int) -> type[GuardedProtocol]:
    """Return the protocol of a server that takes this many connections."""
    return type("Guarded", (GuardedProtocol,), {"max_connections": max_connections})


def end_slow_connections(connections: Iterable[Any]) -> None:
    """End each connection that is too slow, in or out; to be called every second."""
    now = time.monotonic()
    since = now - RECEIVE_SECONDS
    slow = Rejected(RejectReason.REQUEST_TOO_SLOW, seconds=RECEIVE_SECONDS)
    for connection in list(connections):
        connection.end_if_receiving(since, slow)
        connection.end_if_unread(now - READ_SECONDS)


def end_unfinished_connections(connections: Iterable[Any]) -> None:
    """End each connection whose request is not whole: the server stops."""
    for connection in list(connections):
        connection.end_if_receiving(time.monotonic(), Rejected(RejectReason.SHUTTING_DOWN))


def when_full(app: Any) -> Any:
    """Return the application for a connection too many: it says so, but tells its health."""

    async def full(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        if not scope["path"].startswith("/api/"):
            await app(scope, receive, send)
            return
        answer = answers.refusal(Rejected(RejectReason.OVERLOADED))
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        )
        await send({"type": "http.response.body", "body": answer.body})

    return full


def _raw(answer: Answer) -> bytes:
    """Return an answer as it stands on the wire, for when there is no request to answer."""
    lines = [b"HTTP/1.1 %d %b" % (answer.status, _REASONS[answer.status])]
    lines += [b"%b: %b" % header for header in answer.headers]
    return b"\r\n".join([*lines, b"connection: close", b"", answer.body])
