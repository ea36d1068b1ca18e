"""The endpoints that accept events, over ASGI: our own, and those of other systems' clients."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from producer_api.events.batch import split, split_valid
from producer_api.events.client import Client
from producer_api.events.decompression import DECOMPRESSORS
from producer_api.events.dialects.decoding import MAX_BYTES
from producer_api.events.rejection import Rejected, RejectedEarly, shorten
from producer_api.events.request import Request
from producer_api.http import body, cors, responses
from producer_api.http.body import Disconnected, Receive
from producer_api.http.body_bytes import BodyReservation
from producer_api.http.dialects import DialectIntake
from producer_api.http.fast_protocol import NEVER_CLAMP
from producer_api.http.intake import MAYBE_OTHER, Intake, Parse, parse_event
from producer_api.http.metrics import Metrics
from producer_api.http.paths import BATCH_PATH, EVENT_PATH, allowed_methods, error_members
from producer_api.http.responses import Response
from schemas.reject_reasons import RejectReason

Headers = Mapping[bytes, bytes]

#: The limits of our own paths, which accept gzip; dialects have `MAX_BYTES` and `DECOMPRESSORS`.
_MAX_BYTES = {EVENT_PATH: body.MAX_EVENT_BYTES, BATCH_PATH: body.MAX_BATCH_BYTES}


class EventEndpoints:
    """Responds to requests that send events."""

    def __init__(
        self,
        intake: Intake,
        dialects: DialectIntake,
        metrics: Metrics,
        wait_for_start: Callable[[], Awaitable[None]],
        deadline_seconds: float,
    ) -> None:
        self._wait_for_start = wait_for_start
        self._deadline_seconds = deadline_seconds
        self._intake = intake
        self._dialects = dialects
        self._metrics = metrics

    async def respond(self, scope: Mapping[str, Any], path: str, receive: Receive) -> Response:
        """Return the response to a request to a canonical path; raises `Disconnected`."""
        headers = dict(scope["headers"])
        try:
            response = await self._route(scope, path, headers, receive)
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001 - counted, logged and returned as an error
            response = self._error_response(path, headers, error)
        cors_headers = cors.response_headers(path, headers)
        return response.with_headers(*cors_headers) if cors_headers else response

    def _error_response(self, path: str, headers: Headers, error: Exception) -> Response:
        # The caller must not keep the rejection: its frames refer to the caller and to the body,
        # which would be in memory until the next garbage collection.
        rejected = self._intake.reject(error)
        response = responses.error_response(rejected, error_members(path, rejected))
        if isinstance(rejected, RejectedEarly) and _has_body(headers):
            return response.closing()
        return response

    async def _route(
        self, scope: Mapping[str, Any], path: str, headers: Headers, receive: Receive
    ) -> Response:
        allowed = allowed_methods(path)
        if not allowed:
            raise RejectedEarly(RejectReason.NOT_FOUND, path=shorten(path))
        method = scope["method"]
        if method == "OPTIONS":
            return cors.preflight(headers, allowed)
        if method not in allowed.split(", "):
            raise RejectedEarly(
                RejectReason.METHOD_NOT_ALLOWED, path=path, allowed=allowed, method=method
            )
        started_at = time.perf_counter()
        try:
            peer = (scope.get("client") or ("",))[0]
            client = self._intake.clients.read(headers, scope["headers"], peer)
            if self._intake.is_draining:
                raise RejectedEarly(RejectReason.SHUTTING_DOWN)
            with BodyReservation(self._intake.body_bytes) as reservation:
                content = await _read_body(path, receive, headers, reservation)
                query = scope["query_string"].decode("latin-1")
                request = Request(method, path, query, headers, content)
                if self._intake.is_starting:
                    return await self._ingest_at_start(request, client, started_at)
                return await self._ingest(request, client, started_at)
        finally:
            self._metrics.counters.observe_request(time.perf_counter() - started_at)

    async def _ingest_at_start(
        self, request: Request, client: Client, started_at: float
    ) -> Response:
        """Ingest a request when the role has started, all within the deadline."""
        try:
            async with asyncio.timeout(self._deadline_seconds):
                await self._wait_for_start()
                if self._intake.is_draining:
                    raise Rejected(RejectReason.SHUTTING_DOWN)
                return await self._ingest(request, client, started_at)
        except TimeoutError:
            raise self._intake.failed() from None

    async def _ingest(self, request: Request, client: Client, started_at: float) -> Response:
        if request.path == EVENT_PATH:
            return await self._ingest_event(request, client, started_at)
        if request.path == BATCH_PATH:
            return await self._ingest_batch(request, client)
        if response := await self._dialects.respond(request, client):
            return response
        raise Rejected(RejectReason.NO_DIALECT, path=request.path)

    async def _ingest_event(self, request: Request, client: Client, started_at: float) -> Response:
        try:
            sent = self._intake.send(request.body, client, started_at, _parser_of(request))
        except Rejected as rejected:
            if rejected.reason not in MAYBE_OTHER:
                raise
            if response := await self._dialects.respond(request, client):
                return response
            raise
        await asyncio.wait([sent.confirmed])
        return self._intake.accepted_response(sent)

    async def _ingest_batch(self, request: Request, client: Client) -> Response:
        content_type = request.headers.get(b"content-type", b"")
        events = split_valid(request.body, content_type)
        if events is None:
            events = await asyncio.to_thread(split, request.body, content_type)
        results = await self._intake.send_batch(events, client, _parser_of(request))
        response = responses.json(results.status, results.body)
        if results.retry_after:
            return response.with_headers(responses.retry_after(results.retry_after))
        return response


async def _read_body(
    path: str, receive: Receive, headers: Headers, reservation: BodyReservation
) -> bytes:
    if limit := _MAX_BYTES.get(path):
        return await body.read_body(receive, headers, limit, reservation)
    return await body.read_body(receive, headers, MAX_BYTES, reservation, DECOMPRESSORS)


def _parser_of(request: Request) -> Parse:
    (name, never) = NEVER_CLAMP
    if request.headers.get(name, b"").lower() == never:
        return partial(parse_event, never_clamp=True)
    return parse_event


def _has_body(headers: Headers) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
