"""Connections that would hold the server up: too many, too slow, unread, or all headers.

uvicorn bounds none of these; an application behind it cannot see them either.
"""

import time
from collections.abc import Iterable
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    HttpToolsProtocol,
    RequestResponseCycle,
)

from producer_api import answers, cors
from producer_api.admission import Admission
from producer_api.rejected import Rejected
from producer_api.upgrades import UpgradeIgnoringParser
from producer_api.wire import keep_little, path_of, when_full, wire
from schemas.asgi import LIMIT_WRITE_BUFFER
from schemas.reject_reasons import RejectReason

#: From a connection's begin, or a request's first byte, to that request's last byte.
RECEIVE_SECONDS = 15.0
#: After which a connection without a request may be closed to make room.
SILENT_SECONDS = 5.0
MAX_HEAD_BYTES = 64 * 1024
#: For how long a client may read nothing of an answer that waits for it.
READ_SECONDS = 15.0
#: Of an answer, kept by the system for a client; else it would be megabytes.
SEND_BUFFER_BYTES = 64 * 1024
#: Of headers that were refused, read on so that the client sees the answer, and no reset.
_LINGER_BYTES = 1024 * 1024
_LINGER_SECONDS = 2.0


class _HeadTooLargeError(Exception):
    """Ends the parser's work."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection; one over a limit of `admission` gets one answer, by `when_full`."""

    admission: Admission

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._receiving_since: float | None = None
        self.parser: Any = UpgradeIgnoringParser(self)
        #: Of the request whose head comes in; uvicorn sets both when it begins.
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        #: Of what comes in now; of all since the request began, and of that beyond the piece in
        #: which it began: together they bound the head, which is counted only when it can matter.
        self._piece_bytes = 0
        self._bytes = 0
        self._later_bytes = 0
        self._head_complete = False
        self._linger_bytes: int | None = None
        self._unread_since: float | None = None
        self._over_limit = False
        #: Since when all that was asked is answered.
        self._idle_since: float | None = None
        #: The cycle that the application has; uvicorn knows only the latest of a pipeline.
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: Any) -> None:
        """Note when the connection began."""
        super().connection_made(transport)
        self._receiving_since = time.monotonic()
        self.app_state = {**self.app_state, LIMIT_WRITE_BUFFER: partial(keep_little, transport)}
        self._address = self.client[0] if self.client else ""
        if not self.admission.admit(self, self._address):
            self._over_limit = True
            self.app = when_full(self.app)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let no request of the pipeline write to a connection that is gone."""
        self.admission.release(self, self._address)
        super().connection_lost(exc)
        cycles: list[RequestResponseCycle | None] = [self._running]
        cycles += (cycle for cycle, _ in self.pipeline)
        for cycle in cycles:
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()

    def data_received(self, data: bytes) -> None:
        """Bound what may come before the headers end."""
        if self._linger_bytes is not None:
            self._linger(len(data))
            return
        self._idle_since = None
        if self._receiving_since is None:
            self._receiving_since = time.monotonic()
        self._piece_bytes = len(data)
        self._bytes += len(data)
        self._later_bytes += len(data)
        super().data_received(data)
        refused = self.transport.is_closing() or self._linger_bytes is not None
        if not refused and self._head_is_too_large():
            self._refuse_head()

    def on_message_begin(self) -> None:
        """Note when the request began."""
        super().on_message_begin()
        self._receiving_since = time.monotonic()
        self._bytes = self._piece_bytes
        self._later_bytes = 0
        self._head_complete = False

    def on_headers_complete(self) -> None:
        """Let the request begin; one on a connection too many is its last."""
        self._head_complete = True
        if self._head_is_too_large():
            raise _HeadTooLargeError
        if not self.parser.will_begin_anew():
            self.begin_request()

    def begin_request(self) -> None:
        """Let the application have the request whose head is complete."""
        super().on_headers_complete()
        if not self.pipeline:
            self._running = self.cycle
        if self._over_limit:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Note that the request is whole: from here on the time is ours."""
        if not self.parser.will_begin_anew():
            self._receiving_since = None
            self.end_request()

    def end_request(self) -> None:
        """Let the application know that the request is whole."""
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Let the next request of the pipeline begin; without one, note when that was."""
        self._running = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        if self._running is None:
            self._idle_since = time.monotonic()

    def waits_since(self) -> float | None:
        """Return since when the connection waits for a request; None while it has one.

        One that never had a request counts only after some seconds: it may be on its way.
        """
        if self._has_request():
            return None
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            return None
        if self._bytes or self._receiving_since is None:
            return self._idle_since
        silent = time.monotonic() - self._receiving_since >= SILENT_SECONDS
        return self._receiving_since if silent else None

    def close_idle(self) -> None:
        """Close the connection, which waits for a request."""
        self.transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

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

    def end_if_idle(self, now: float) -> None:
        """Close the connection when its last answer was long ago."""
        if self._idle_since is not None and now - self._idle_since > self.timeout_keep_alive:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's sentence is no JSON
        """Answer what is no HTTP, or has too much of a head."""
        if self._head_is_too_large():
            self._refuse_head()
        else:
            self._end(Rejected(RejectReason.BAD_REQUEST))

    def _head_is_too_large(self) -> bool:
        """Return whether the head is over the limit; trailers, behind a body, count as well."""
        if self._bytes <= MAX_HEAD_BYTES:
            return False
        if not self._head_complete and self._later_bytes > MAX_HEAD_BYTES:
            return True
        fields = sum(len(name) + len(value) + len(":\r\n") for name, value in self.headers)
        return len(self.url) + fields > MAX_HEAD_BYTES

    def end_if_receiving(self, since: float, rejected: Rejected) -> None:
        """End the connection when it waits for the rest of a request, from `since` or before."""
        if self._receiving_since is not None and self._receiving_since <= since:
            self._end(rejected)

    def _refuse_head(self) -> None:
        rejected = Rejected(RejectReason.HEADERS_TOO_LARGE, limit=MAX_HEAD_BYTES)
        if self._has_request():
            self._end(rejected)
            return
        # To close with input unread would reset the connection, and the client might never
        # see the answer.
        self._write_refusal(rejected)
        self.transport.write_eof()
        self._receiving_since = None
        self._linger_bytes = _LINGER_BYTES
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _linger(self, size: int) -> None:
        self._linger_bytes = (self._linger_bytes or 0) - size
        if self._linger_bytes < 0:
            self.transport.close()

    def _end(self, rejected: Rejected) -> None:
        if not (self._has_request() and self.cycle.response_started):
            self._write_refusal(rejected)
        self.transport.close()

    def _write_refusal(self, rejected: Rejected) -> None:
        """Write the last answer of the connection, readable for the page that is known to ask."""
        shared = cors.of_request(path_of(self.url), dict(self.headers))
        self.transport.write(wire(answers.refusal(rejected), shared, closes=True))

    def _has_request(self) -> bool:
        # uvicorn declares that there always is a cycle; before the first request there is none.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete


def end_slow_connections(connections: Iterable[Any]) -> None:
    """End each connection that is too slow, in or out; to be called every second."""
    now = time.monotonic()
    since = now - RECEIVE_SECONDS
    slow = Rejected(RejectReason.REQUEST_TOO_SLOW, seconds=RECEIVE_SECONDS)
    for connection in list(connections):
        connection.end_if_receiving(since, slow)
        connection.end_if_unread(now - READ_SECONDS)
        connection.end_if_idle(now)


def end_unfinished_connections(connections: Iterable[Any]) -> None:
    """End each connection whose request is not whole: the server stops."""
    for connection in list(connections):
        connection.end_if_receiving(time.monotonic(), Rejected(RejectReason.SHUTTING_DOWN))
