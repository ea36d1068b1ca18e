"""Ingestion of events: parse, encode, queue for Kafka, wait for the confirmation.

Each event is accepted, rejected with a reason, or failed: then Kafka may or may not have it.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from producer_api.events.client import Client
from producer_api.events.draft import EncodedEvent, EventContext
from producer_api.events.fast_parse import read_fast
from producer_api.events.parse import parse
from producer_api.events.rejection import Rejected
from producer_api.events.request import Request
from producer_api.http import responses
from producer_api.http.batch_results import Results, count_results
from producer_api.http.body import MAX_EVENT_BYTES
from producer_api.http.body_bytes import SMALL_BYTES, BodyBytes
from producer_api.http.clients import Clients
from producer_api.http.metrics import Metrics
from producer_api.http.paths import EVENT_PATH, error_members, metric_label
from producer_api.http.pending import Pending, Sent, SentBatch
from producer_api.http.record_queue import RecordQueue
from producer_api.http.responses import Response
from producer_api.produce.accumulator import Accumulator
from schemas.reject_reasons import RejectReason

if TYPE_CHECKING:
    from schemas.tracing import Tracer

_log = logging.getLogger(__name__)

#: Events of a batch that are parsed before the event loop runs other tasks.
EVENTS_PER_SLICE = 50
#: Rejections of bodies that may be those of another client: its dialect replaces what cannot be
#: encoded, such as half of an emoji.
MAYBE_OTHER = frozenset(
    {RejectReason.MISSING_FIELDS, RejectReason.LONE_SURROGATE, RejectReason.INVALID_UTF8}
)


def parse_event(
    raw: bytes, context: EventContext, client: Client, *, never_clamp: bool = False
) -> EncodedEvent:
    """Parse an event of at most `MAX_EVENT_BYTES`; raises `Rejected`."""
    if len(raw) > MAX_EVENT_BYTES:
        raise Rejected(RejectReason.EVENT_TOO_LARGE, limit=MAX_EVENT_BYTES)
    event = read_fast(raw, context, client) or parse(raw, context, client)
    if never_clamp and event.clamped:
        raise Rejected(RejectReason.WOULD_BE_CLAMPED, "timestamp")
    return event


#: Parses an event: JSON, or what a dialect made of it; raises `Rejected`.
Parse = Callable[[Any, EventContext, Client], EncodedEvent]
#: The events of a batch in order: queued ones with their confirmation, and rejected ones.
Queued = list[tuple[EncodedEvent | Rejected, asyncio.Future[bool] | None]]
#: Queues the events of a request in the format of another system's client. Returns None if it is
#: in none. Raises `Rejected`.
AcceptOther = Callable[[Request, Client, float], Pending | Response | None]


class Intake:
    """Accepts single events and batches until the server drains; counts requests in flight."""

    def __init__(
        self,
        context: EventContext,
        accumulator: Accumulator,
        metrics: Metrics,
        clients: Clients,
        body_bytes: BodyBytes,
    ) -> None:
        self.clients = clients
        self.body_bytes = body_bytes
        self._context = context
        self._records = RecordQueue(accumulator)
        self._metrics = metrics
        #: Set by `DialectIntake`.
        self.accept_other: AcceptOther = lambda _request, _client, _started_at: None
        #: Until the role was ready once: then requests wait for it, in the application.
        self.is_starting = False
        self.is_draining = False
        self._in_flight = 0
        self._all_finished = asyncio.Event()

    def trace(self, tracer: "Tracer") -> None:
        """Enable traces."""
        self._records.trace(tracer)
        self.clients.reads_traces = True

    def begin(self) -> None:
        """Count a request as in flight until `end`."""
        self._in_flight += 1

    def end(self) -> None:
        """Count a request as finished."""
        self._in_flight -= 1
        if self.is_draining and not self._in_flight:
            self._all_finished.set()

    async def drain(self) -> None:
        """Reject new requests; return when all earlier ones have a response."""
        self.is_draining = True
        if self._in_flight:
            await self._all_finished.wait()

    def accept(
        self, raw: bytes, client: Client, headers: Mapping[bytes, bytes]
    ) -> Pending | Response | None:
        """Queue the event of a fast-path request, or return the response that rejects it.

        Call `respond` when `confirmed` is done. Return None for requests that the ASGI application
        handles: all while the server starts or drains, and events without the required fields.
        """
        if self.is_draining or self.is_starting:
            return None
        started_at = time.perf_counter()
        try:
            accepted = self._send_any(raw, client, headers, started_at)
        except Exception as error:  # noqa: BLE001 - counted, logged and returned as an error
            accepted = self._error_response(EVENT_PATH, error)
        return self._begun(accepted, started_at, EVENT_PATH)

    def accept_request(self, request: Request, client: Client) -> Pending | Response | None:
        """As `accept`, for a request to a path of dialects; None if it is of none of them."""
        if self.is_draining or self.is_starting:
            return None
        started_at = time.perf_counter()
        try:
            accepted = self.accept_other(request, client, started_at)
        except Exception as error:  # noqa: BLE001 - counted, logged and returned as an error
            accepted = self._error_response(request.path, error)
        return self._begun(accepted, started_at, request.path)

    def _begun(
        self, accepted: Pending | Response | None, started_at: float, path: str
    ) -> Pending | Response | None:
        """Count a request as in flight, or its response; return what was accepted."""
        if isinstance(accepted, Response):
            self._metrics.counters.observe_request(time.perf_counter() - started_at)
            return self._count(accepted, metric_label(path))
        if accepted is not None:
            self.begin()
        return accepted

    def _send_any(
        self, raw: bytes, client: Client, headers: Mapping[bytes, bytes], started_at: float
    ) -> Pending | Response | None:
        """Queue an event, also one in the format of another system's client."""
        try:
            return self.send(raw, client, started_at)
        except Rejected as rejected:
            if rejected.reason not in MAYBE_OTHER:
                raise
        if len(raw) > SMALL_BYTES:
            return None  # the application counts bodies that are kept until the response
        request = Request("POST", EVENT_PATH, headers=headers, body=raw)
        return self.accept_other(request, client, started_at)

    def respond(self, sent: Pending) -> Response:
        """Return the response to a request of `accept`; call it once."""
        self._metrics.counters.observe_request(time.perf_counter() - sent.started_at)
        self.end()
        try:
            if isinstance(sent, SentBatch):
                response = sent.confirmed.result()
            elif sent.rejected is None or sent.confirmed.result():
                response = self.accepted_response(sent)
            else:
                response = sent.rejected(self._records.failed())
        except Exception as error:  # noqa: BLE001 - counted, logged and returned as an error
            response = self._error_response(sent.path, error)
        return self._count(response, metric_label(sent.path))

    def _error_response(self, path: str, error: Exception) -> Response:
        rejected = self.reject(error)
        return responses.error_response(rejected, error_members(path, rejected))

    def _count(self, response: Response, label: str) -> Response:
        self._metrics.counters.count_response(label, response.status)
        return response

    def send(self, raw: Any, client: Client, started_at: float, parse: Parse = parse_event) -> Sent:
        """Queue an event for Kafka; raises `Rejected`."""
        event = parse(raw, self._context, client)
        return Sent(event, self._records.add(event, client, started_at), started_at)

    def accepted_response(self, sent: Sent) -> Response:
        """Return the 202 response if Kafka confirmed the event; raises `Rejected` otherwise."""
        if not sent.confirmed.result():
            raise self._records.failed()
        self._metrics.counters.count_accepted(sent.event.type)
        return sent.accepted(sent.event.event_id)

    def failed(self) -> Rejected:
        """Return the rejection of an event that Kafka does not confirm."""
        return self._records.failed()

    def reject(self, error: Exception) -> Rejected:
        """Count a rejection by its reason; log any other exception as an internal error."""
        rejected = error if isinstance(error, Rejected) else _internal_error(error)
        self._metrics.count_rejected(rejected)
        return rejected

    async def send_batch(
        self, raws: Sequence[Any], client: Client, parse: Parse = parse_event
    ) -> Results:
        """Queue the valid events of a batch, and return the results of all events in order."""
        return await self.finish_batch(await self.queue_batch(raws, client, parse))

    async def queue_batch(
        self, raws: Sequence[Any], client: Client, parse: Parse = parse_event
    ) -> Queued:
        """Parse the events of a batch and queue the valid ones; raises `Rejected`."""
        started_at = time.perf_counter()
        parsed: list[EncodedEvent | Rejected] = []
        for number, raw in enumerate(raws, 1):
            parsed.append(self._parse(raw, client, parse))
            if number % EVENTS_PER_SLICE == 0:
                await asyncio.sleep(0)
        valid = [event for event in parsed if isinstance(event, EncodedEvent)]
        queued = iter(self._records.add_batch(valid, client, started_at))
        return [
            (event, next(queued) if isinstance(event, EncodedEvent) else None) for event in parsed
        ]

    async def finish_batch(self, queued: Queued) -> Results:
        """Wait for Kafka, and return the results of all events in order."""
        if confirmations := {confirmed for _, confirmed in queued if confirmed is not None}:
            await asyncio.wait(confirmations)
        return self.results(
            [
                event if confirmed is None or confirmed.result() else self._records.failed()
                for event, confirmed in queued
            ]
        )

    def _parse(self, raw: Any, client: Client, parse: Parse) -> EncodedEvent | Rejected:
        try:
            return parse(raw, self._context, client)
        except Rejected as rejected:
            return rejected.without_frames()
        except Exception as error:  # noqa: BLE001 - must not affect the other events
            return _internal_error(error)

    def results(self, outcomes: Sequence[EncodedEvent | Rejected]) -> Results:
        """Count events as accepted or rejected, and return the results of all in order."""
        return count_results(outcomes, self._metrics)


def _internal_error(error: Exception) -> Rejected:
    """Log an unexpected exception, without data of the client, and return the rejection."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    _log.error(
        "An event could not be processed: %s at %s:%s. This is a bug in headrace; "
        "please report this line",
        type(error).__name__,
        frame.filename,
        frame.lineno,
    )
    return Rejected(RejectReason.INTERNAL_ERROR)
