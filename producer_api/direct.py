"""The fast path of a request with one event: from uvicorn's parser to the accumulator and back.

Over ASGI each request is a task, a scope, an event of asyncio and four messages, which take
more CPU than all that is done for an event. A request that is as plain as nearly all are is
taken here when its last byte has come, and answered when Kafka has confirmed it. Every other
request goes to the application by ASGI, and so do all under another server. Why there are two
ways, and what that saves: docs/adr/0020.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from producer_api import cors
from producer_api.admission import Admission
from producer_api.answers import Answer
from producer_api.body import MAX_EVENT_BYTES
from producer_api.connections import GuardedProtocol
from producer_api.intake import Intake, Sent
from producer_api.paths import EVENT_PATH
from producer_api.wire import wire

EVENT_TARGET = EVENT_PATH.encode()
#: The header that asks to reject what would be clamped.
NEVER_CLAMP = (b"headrace-clamp", b"never")
#: With any of these a request is not plain.
_NOT_PLAIN = frozenset(
    {
        b"transfer-encoding",
        b"content-encoding",
        b"expect",
        b"upgrade",
        b"proxy-connection",
        NEVER_CLAMP[0],
    }
)


class _Cycle:
    """Takes the place of uvicorn's request and response; nothing waits for more of the body."""

    message_event = asyncio.Event()
    keep_alive = True
    disconnected = response_started = response_complete = False


class DirectProtocol(GuardedProtocol):
    """A connection that takes plain requests by itself, when its application offers that."""

    cycle: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._intake: Intake | None = getattr(self.app, "intake", None)
        #: What has come of a plain request's body, and its headers; None of any other.
        self._pieces: list[bytes] | None = None
        self._plain_headers: Mapping[bytes, bytes] = {}

    def data_received(self, data: bytes) -> None:
        """Leave a request that is not whole with this piece to the application."""
        super().data_received(data)
        if self._pieces is not None:
            self._leave_to_application()

    def begin_request(self) -> None:
        """Wait for the rest of a plain request, as long as this piece lasts."""
        if self._intake is not None and self._is_plain():
            self._pieces = []
        else:
            super().begin_request()

    def on_body(self, body: bytes) -> None:
        """Keep the body of a plain request."""
        if self._pieces is None:
            super().on_body(body)
        else:
            self._pieces.append(body)

    def end_request(self) -> None:
        """Take a plain request."""
        if self._pieces is not None:
            body = b"".join(self._pieces)
            intake = self._intake
            if intake and len(body) <= MAX_EVENT_BYTES and (taken := intake.take(body)):
                self._pieces = None
                self._wait(intake, taken)
                return
            self._leave_to_application()
        super().end_request()

    def _is_plain(self) -> bool:
        headers = self._plain_headers = dict(self.headers)
        parser = self.parser
        return (
            self.url == EVENT_TARGET
            and _NOT_PLAIN.isdisjoint(headers)
            and parser.get_method() == b"POST"
            and parser.should_keep_alive()
            # To ask for the version takes 2 us, and only 1.1 is kept alive without a word.
            and (b"connection" not in headers or parser.get_http_version() == "1.1")
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and not self._over_limit
        )

    def _leave_to_application(self) -> None:
        (pieces, self._pieces) = (self._pieces or [], None)
        super().begin_request()
        for piece in pieces:
            super().on_body(piece)

    def _wait(self, intake: Intake, taken: Sent | Answer) -> None:
        cycle = self.cycle = _Cycle()
        more = cors.of_origin(self._plain_headers)

        def respond(answer: Answer) -> None:
            self._answer(cycle, answer.with_headers(*more) if more else answer)

        if isinstance(taken, Answer):
            respond(taken)
        else:
            taken.confirmed.add_done_callback(lambda _: respond(intake.answer(taken)))

    def _answer(self, cycle: _Cycle, answer: Answer) -> None:
        cycle.response_started = cycle.response_complete = True
        if not self.transport.is_closing():
            closes = not cycle.keep_alive
            self.transport.write(wire(answer, self.server_state.default_headers, closes=closes))
            if closes:
                self.transport.close()
        # No timer for each answer, which would take longer than to write it.
        if self.pipeline:
            self.on_response_complete()
        else:
            self.server_state.total_requests += 1
            self._idle_since = time.monotonic()


def guarded(max_connections: int, per_address: int = 0) -> type[GuardedProtocol]:
    """Return the protocol of a server with these limits; `per_address` as in `Admission`."""
    admission = Admission(max_connections, per_address)
    return type("Guarded", (DirectProtocol,), {"admission": admission})
