"""Limits on connections: their number, the time to send a request or read a response, header size.

uvicorn enforces none of these, and an ASGI application cannot. `slow_connections.py` has the time
limits.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    HttpToolsProtocol,
    RequestResponseCycle,
)

from producer_api.events.rejection import Rejected
from producer_api.http import cors, responses
from producer_api.http.admission import Admission
from producer_api.http.http_writer import (
    limit_send_buffer,
    reject_over_limit,
    serialize,
    target_path,
)
from producer_api.http.upgrade_ignoring_parser import UpgradeIgnoringParser
from schemas.asgi_extensions import LIMIT_WRITE_BUFFER
from schemas.reject_reasons import RejectReason

#: After this, a connection that never had a request counts as idle.
SILENT_SECONDS = 5.0
MAX_HEAD_BYTES = 64 * 1024
#: The socket's send buffer; the system's default grows to megabytes.
SEND_BUFFER_BYTES = 64 * 1024
#: Input that is discarded before the connection is closed: closing earlier would reset it, and the
#: client may lose the response.
_LINGER_BYTES = 1024 * 1024
_LINGER_SECONDS = 2.0


#: Counts a response that the application does not see, by canonical path and reason.
CountUnserved = Callable[[str, RejectReason], None]


class _HeadTooLargeError(Exception):
    """Stops the parser."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection. Over a limit of `admission`, it gets one error response.

    Error responses that the application does not see are passed to its `count_unserved`, if any.
    """

    admission: Admission

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._count_unserved: CountUnserved | None = getattr(self.app, "count_unserved", None)
        self._receiving_since: float | None = None
        self.parser: Any = UpgradeIgnoringParser(self)
        #: Of the request that is being received; uvicorn resets both when it starts.
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        #: The bytes of the current chunk, of all chunks of the request, and of those after its
        #: first one. The head is measured exactly only when these sums exceed the limit.
        self._chunk_bytes = 0
        self._bytes = 0
        self._later_bytes = 0
        self._head_complete = False
        #: Whether the application has the request that is being received, as `cycle`.
        self._is_begun = False
        self._linger_bytes: int | None = None
        self._unread_since: float | None = None
        self._over_limit = False
        #: When the last response was complete; None while a request is received or processed.
        self._idle_since: float | None = None
        #: The cycle that the application is processing; uvicorn's is the last of the pipeline.
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: Any) -> None:
        """Count the connection, and record when it started."""
        super().connection_made(transport)
        self._receiving_since = time.monotonic()
        self.app_state = {
            **self.app_state,
            LIMIT_WRITE_BUFFER: partial(limit_send_buffer, transport),
        }
        self._address = self.client[0] if self.client else ""
        if not self.admission.admit(self, self._address):
            self._over_limit = True
            self.app = reject_over_limit(self.app, self.count_unserved)

    def connection_lost(self, exc: Exception | None) -> None:
        """Disconnect all requests of the pipeline."""
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
        """Parse a chunk, and limit the size of the headers."""
        if self._linger_bytes is not None:
            self._linger(len(data))
            return
        self._idle_since = None
        if self._receiving_since is None:
            self._receiving_since = time.monotonic()
        self._chunk_bytes = len(data)
        self._bytes += len(data)
        self._later_bytes += len(data)
        super().data_received(data)
        is_rejected = self.transport.is_closing() or self._linger_bytes is not None
        if not is_rejected and self._head_is_too_large():
            self._reject_head()

    def on_message_begin(self) -> None:
        """Record when the request started."""
        super().on_message_begin()
        self._receiving_since = time.monotonic()
        self._bytes = self._chunk_bytes
        self._later_bytes = 0
        self._head_complete = self._is_begun = False

    def on_headers_complete(self) -> None:
        """Begin the request."""
        self._head_complete = True
        if self._head_is_too_large():
            raise _HeadTooLargeError
        if not self.parser.will_reparse():
            self.begin_request()

    def begin_request(self) -> None:
        """Pass the request to the application; over the limit, it is the connection's last."""
        super().on_headers_complete()
        self._is_begun = True
        if not self.pipeline:
            self._running = self.cycle
        if self._over_limit:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """End the request; from here on no receive timeout applies."""
        if not self.parser.will_reparse():
            self._receiving_since = None
            self.end_request()

    def end_request(self) -> None:
        """Notify the application that the request is complete."""
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Start the next request of the pipeline; without one, the connection is idle."""
        self._running = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        if self._running is None:
            self._idle_since = time.monotonic()

    def idle_since(self) -> float | None:
        """Return when the connection became idle; None while it has a request.

        A new connection counts as idle after `SILENT_SECONDS`: its request may be in flight.
        """
        if self._has_request():
            return None
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            return None
        if self._bytes or self._receiving_since is None:
            return self._idle_since
        is_silent = time.monotonic() - self._receiving_since >= SILENT_SECONDS
        return self._receiving_since if is_silent else None

    def close_idle(self) -> None:
        """Close the idle connection."""
        self.transport.close()

    def abort(self) -> None:
        """Close the connection without flushing."""
        self.transport.abort()

    def pause_writing(self) -> None:
        """Record when the client stopped reading."""
        super().pause_writing()
        self._unread_since = time.monotonic()

    def resume_writing(self) -> None:
        """Record that the client reads again."""
        super().resume_writing()
        self._unread_since = None

    def abort_if_unread(self, since: float) -> None:
        """Abort the connection if the client has not read since `since` or earlier."""
        if self._unread_since is not None and self._unread_since <= since:
            self.transport.abort()

    def close_if_idle(self, now: float) -> None:
        """Close the connection if it exceeds the keep-alive timeout."""
        if self._idle_since is not None and now - self._idle_since > self.timeout_keep_alive:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - our errors are JSON
        """Reject a malformed request, or one whose head is too large."""
        if self._head_is_too_large():
            self._reject_head()
        else:
            self._reject_and_close(Rejected(RejectReason.BAD_REQUEST))

    def _head_is_too_large(self) -> bool:
        """Return True if the head, with any trailers, exceeds the limit."""
        if self._bytes <= MAX_HEAD_BYTES:
            return False
        if not self._head_complete and self._later_bytes > MAX_HEAD_BYTES:
            return True
        fields = sum(len(name) + len(value) + len(":\r\n") for name, value in self.headers)
        return len(self.url) + fields > MAX_HEAD_BYTES

    def close_if_receiving(self, since: float, rejected: Rejected) -> None:
        """Reject and close if a request has been incomplete since `since` or earlier."""
        if self._receiving_since is not None and self._receiving_since <= since:
            self._reject_and_close(rejected)

    def _reject_head(self) -> None:
        rejected = Rejected(RejectReason.HEADERS_TOO_LARGE, limit=MAX_HEAD_BYTES)
        if self._has_request():
            self._reject_and_close(rejected)
            return
        self._write_error(rejected)
        self.transport.write_eof()
        self._receiving_since = None
        self._linger_bytes = _LINGER_BYTES
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _linger(self, size: int) -> None:
        self._linger_bytes = (self._linger_bytes or 0) - size
        if self._linger_bytes < 0:
            self.transport.close()

    def _reject_and_close(self, rejected: Rejected) -> None:
        """Reject the request that is being received, and close the connection.

        If an earlier request has no response yet, that one is the last: an error would be taken for
        it, although its events are stored.
        """
        if self._is_begun and self._receiving_since is not None:
            if self.cycle is self._running and not self.cycle.response_started:
                self._write_error(rejected)
        elif not self._has_request():
            self._write_error(rejected)
        elif not self.cycle.response_started:
            self.cycle.keep_alive = False
            self._receiving_since = None
            self._linger_bytes = _LINGER_BYTES
            return
        self.transport.close()

    def count_unserved(self, path: str, reason: RejectReason) -> None:
        """Count a response that the application does not see."""
        if self._count_unserved is not None:
            self._count_unserved(path, reason)

    def _write_error(self, rejected: Rejected) -> None:
        """Write the connection's last response, with CORS headers if the request's are known."""
        path = target_path(self.url)
        self.count_unserved(path, rejected.reason)
        cors_headers = cors.response_headers(path, dict(self.headers))
        self.transport.write(
            serialize(responses.error_response(rejected), cors_headers, closes=True)
        )

    def _has_request(self) -> bool:
        # uvicorn annotates `cycle` as never None; it is None before the first request.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete
