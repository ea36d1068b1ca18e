"""The fast path of events: from uvicorn's parser to the accumulator, without ASGI.

ASGI needs a task, a scope, an asyncio event and four messages per request, which take more CPU
than the event itself. Most requests are handled here when their last byte is received, and get
their response when Kafka confirms the event. The ASGI application handles all others, and all
requests under another server. The events are those of `POST /api/event`, and of the paths of other
systems' clients. Reasons and measurements: docs/adr/0020 and 0083.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from producer_api.events.request import Request
from producer_api.http import cors
from producer_api.http.admission import Admission
from producer_api.http.body import MAX_EVENT_BYTES
from producer_api.http.body_bytes import SMALL_BYTES, BodyReservation
from producer_api.http.connections import LimitedProtocol
from producer_api.http.http_writer import serialize, target_path
from producer_api.http.intake import Intake
from producer_api.http.paths import EVENT_PATH, Target, dialect_target
from producer_api.http.pending import Pending
from producer_api.http.responses import Response
from schemas.reject_reasons import RejectReason

EVENT_TARGET = EVENT_PATH.encode()
#: The header by which a client asks to reject events whose timestamp would be clamped.
NEVER_CLAMP = (b"headrace-clamp", b"never")
#: Headers of requests that the ASGI application handles.
_ASGI_HEADERS = frozenset(
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
    """Replaces uvicorn's `RequestResponseCycle` on the fast path."""

    message_event = asyncio.Event()
    keep_alive = True
    disconnected = response_started = response_complete = False


class DirectProtocol(LimitedProtocol):
    """A connection with the fast path, if its application has an `intake`."""

    cycle: Any
    #: The targets of our own events.
    event_targets: tuple[bytes, ...] = (EVENT_TARGET,)
    #: What a proxy may keep before the targets of dialects.
    target_prefix = b""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        intake: Intake | None = getattr(self.app, "intake", None)
        self._intake = intake
        #: Whether requests wait for an earlier response, and their bodies.
        self._has_pipelined = False
        self._pipelined = None if intake is None else BodyReservation(intake.body_bytes)
        #: The body of a fast-path request so far; None for other requests.
        self._chunks: list[bytes] | None = None
        self._headers: Mapping[bytes, bytes] = {}
        #: The target of a dialect's request on the fast path; None for an event of our own.
        self._target: Target | None = None

    def data_received(self, data: bytes) -> None:
        """Parse a chunk; leave a request that it does not complete to the application."""
        super().data_received(data)
        if self._chunks is not None:
            self._fall_back_to_asgi()
        if self.pipeline and not self._reserve_pipelined():
            self.count_unserved(target_path(self.url), RejectReason.OVERLOADED)
            self.transport.abort()  # the next response is that of an earlier request

    def on_response_complete(self) -> None:
        """Start the next request of the pipeline, which reserves its body on its own."""
        super().on_response_complete()
        if self._has_pipelined:
            self._reserve_pipelined()

    def connection_lost(self, exc: Exception | None) -> None:
        """Disconnect all requests of the pipeline."""
        super().connection_lost(exc)
        self._reserve_pipelined()

    def _reserve_pipelined(self) -> bool:
        """Reserve what the pipeline has; return False if that exceeds the limit of all bodies."""
        self._has_pipelined = bool(self.pipeline)
        size = sum(len(cycle.body) for cycle, _ in self.pipeline)
        return self._pipelined is None or self._pipelined.resize(size, is_incomplete=True)

    def begin_request(self) -> None:
        """Begin a fast-path request, or pass the request to the application."""
        if self._intake is not None and self._is_eligible():
            self._chunks = []
        else:
            super().begin_request()

    def on_body(self, body: bytes) -> None:
        """Collect the body of a fast-path request."""
        if self._chunks is None:
            super().on_body(body)
        else:
            self._chunks.append(body)

    def end_request(self) -> None:
        """Process a fast-path request."""
        if self._chunks is not None:
            body = b"".join(self._chunks)
            intake = self._intake
            # The application counts the bodies that are kept until the response.
            limit = MAX_EVENT_BYTES if self._target is None else SMALL_BYTES
            if intake and len(body) <= limit:
                peer = self.client[0] if self.client else ""
                client = intake.clients.read(self._headers, self.headers, peer)
                accepted = (
                    intake.accept(body, client, self._headers)
                    if self._target is None
                    else intake.accept_request(self._request(self._target, body), client)
                )
                if accepted:
                    self._chunks = None
                    self._respond_to(intake, accepted)
                    return
            self._fall_back_to_asgi()
        super().end_request()

    def _is_eligible(self) -> bool:
        headers = self._headers = dict(self.headers)
        parser = self.parser
        return (
            self._has_target(parser.get_method())
            and _ASGI_HEADERS.isdisjoint(headers)
            and parser.should_keep_alive()
            # Only 1.1 is kept alive without this header; reading the version costs 2 us.
            and (b"connection" not in headers or parser.get_http_version() == "1.1")
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and not self._over_limit
        )

    def _has_target(self, method: bytes) -> bool:
        """Return True for targets of the fast path; keep a dialect's in `_target`."""
        self._target = None
        if self.url in self.event_targets:
            return method == b"POST"
        self._target = dialect_target(self.url.removeprefix(self.target_prefix))
        return self._target is not None and method in self._target.methods

    def _request(self, target: Target, body: bytes) -> Request:
        method = self.parser.get_method().decode()
        return Request(method, target.path, target.query, self._headers, body)

    def _fall_back_to_asgi(self) -> None:
        (chunks, self._chunks) = (self._chunks or [], None)
        super().begin_request()
        for chunk in chunks:
            super().on_body(chunk)

    def _respond_to(self, intake: Intake, accepted: Pending | Response) -> None:
        """Write the response, now or when Kafka confirms the event."""
        cycle = self.cycle = _Cycle()
        more = cors.origin_headers(self._headers)

        def respond(response: Response) -> None:
            self._write(cycle, response.with_headers(*more) if more else response)

        if isinstance(accepted, Response):
            respond(accepted)
        else:
            accepted.confirmed.add_done_callback(lambda _: respond(intake.respond(accepted)))

    def _write(self, cycle: _Cycle, response: Response) -> None:
        cycle.response_started = cycle.response_complete = True
        if not self.transport.is_closing():
            closes = not cycle.keep_alive
            headers = self.server_state.default_headers
            self.transport.write(serialize(response, headers, closes=closes))
            if closes:
                self.transport.close()
        # `_idle_since` replaces uvicorn's keep-alive timer, which costs more than the write.
        if self.pipeline:
            self.on_response_complete()
        else:
            self.server_state.total_requests += 1
            self._idle_since = time.monotonic()


def protocol_with_limits(
    max_connections: int, per_address: int = 0, root_path: str = ""
) -> type[LimitedProtocol]:
    """Return a protocol class with these connection limits; `per_address` as in `Admission`.

    The fast path serves its paths also below `root_path`.
    """
    targets = (EVENT_TARGET, root_path.encode() + EVENT_TARGET) if root_path else (EVENT_TARGET,)
    members = {
        "admission": Admission(max_connections, per_address),
        "event_targets": targets,
        "target_prefix": root_path.encode(),
    }
    return type("LimitedDirectProtocol", (DirectProtocol,), members)
