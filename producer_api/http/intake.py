"""Ingestion of events: parse, encode, queue for Kafka, wait for the confirmation.

Each event is accepted, rejected with a reason, or failed: then Kafka may or may not have it.
"""

import asyncio
import logging
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from producer_api.events.client import Client
from producer_api.events.draft import EncodedEvent, EventContext
from producer_api.events.fast_parse import read_fast
from producer_api.events.parse import parse
from producer_api.events.rejection import Rejected
from producer_api.events.request import Request
from producer_api.http import responses
from producer_api.http.body import MAX_EVENT_BYTES
from producer_api.http.clients import Clients
from producer_api.http.metrics import Metrics
from producer_api.http.paths import BATCH_PATH, EVENT_PATH, error_members, metric_label
from producer_api.http.responses import Response
from producer_api.produce.accumulator import Accumulator
from schemas.reject_reasons import NOT_IN_KAFKA, RejectReason

if TYPE_CHECKING:
    from schemas.tracing import Tracer

_log = logging.getLogger(__name__)

#: Events of a batch that are parsed before the event loop runs other tasks.
_EVENTS_PER_SLICE = 50
#: Rejections of bodies that may be those of another client: its dialect replaces what cannot be
#: encoded, such as half of an emoji.
MAYBE_OTHER = frozenset(
    {RejectReason.MISSING_FIELDS, RejectReason.LONE_SURROGATE, RejectReason.INVALID_UTF8}
)
#: Errors of the server or of Kafka: the event may be valid.
_FAILURES = NOT_IN_KAFKA | {RejectReason.INTERNAL_ERROR}


class Sent(NamedTuple):
    """An event that was queued for Kafka. Its request started at `started_at` (`perf_counter`).

    `path` is that of the request. `accepted` returns the response for the event's id when Kafka has
    it; `rejected` counts a rejection and returns its response, if it is not that of our own API.
    """

    event: EncodedEvent
    confirmed: asyncio.Future[bool]
    started_at: float
    path: str = EVENT_PATH
    accepted: Callable[[str], Response] = responses.accepted
    rejected: Callable[[Rejected], Response] | None = None


class SentBatch(NamedTuple):
    """Several events of a request of another system's client; `confirmed` has its response."""

    confirmed: asyncio.Future[Response]
    started_at: float
    path: str


#: A request of the fast path: call `Intake.respond` when `confirmed` is done.
Pending = Sent | SentBatch


class Results(NamedTuple):
    """The response to a batch: its status and JSON body.

    `retry_after` is how many seconds to wait because of a rate limit, or 0.
    """

    status: int
    body: dict[str, Any]
    retry_after: int


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
#: Queues the events of a request in the format of another system's client. Returns None if it is
#: in none. Raises `Rejected`.
AcceptOther = Callable[[Request, Client, float], Pending | Response | None]


class Intake:
    """Accepts single events and batches until the server drains; counts requests in flight."""

    def __init__(
        self, context: EventContext, accumulator: Accumulator, metrics: Metrics, clients: Clients
    ) -> None:
        self.clients = clients
        self._context = context
        self._accumulator = accumulator
        self._metrics = metrics
        self._tracer: Tracer | None = None
        #: Set by `DialectIntake`.
        self.accept_other: AcceptOther = lambda _request, _client, _started_at: None
        self.is_draining = False
        self._in_flight = 0
        self._all_finished = asyncio.Event()

    def trace(self, tracer: "Tracer") -> None:
        """Enable traces."""
        self._tracer = tracer
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
        handles: all while the server drains, and events without the required fields.
        """
        if self.is_draining:
            return None
        started_at = time.perf_counter()
        try:
            accepted = self._send_any(raw, client, headers, started_at)
        except Exception as error:  # noqa: BLE001 - counted, logged and returned as an error
            accepted = self._error_response(EVENT_PATH, error)
        return self._begun(accepted, started_at, EVENT_PATH)

    def accept_request(self, request: Request, client: Client) -> Pending | Response | None:
        """As `accept`, for a request to a path of dialects; None if it is of none of them."""
        if self.is_draining:
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
                response = sent.rejected(self._failed())
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
        self._check_capacity(len(event.value))
        if self._tracer is None:
            confirmed = self._queue(event)
        else:
            (confirmed,) = self._queue_traced(self._tracer, [event], client, EVENT_PATH, started_at)
        return Sent(event, confirmed, started_at)

    def accepted_response(self, sent: Sent) -> Response:
        """Return the 202 response if Kafka confirmed the event; raises `Rejected` otherwise."""
        if not sent.confirmed.result():
            raise self._failed()
        self._metrics.counters.count_accepted(sent.event.type)
        return sent.accepted(sent.event.event_id)

    def reject(self, error: Exception) -> Rejected:
        """Count a rejection by its reason; log any other exception as an internal error."""
        rejected = error if isinstance(error, Rejected) else _internal_error(error)
        self._metrics.count_rejected(rejected)
        return rejected

    async def send_batch(
        self, raws: Sequence[Any], client: Client, parse: Parse = parse_event
    ) -> Results:
        """Queue the valid events of a batch, and return the results of all events in order."""
        started_at = time.perf_counter()
        parsed: list[EncodedEvent | Rejected] = []
        for number, raw in enumerate(raws, 1):
            parsed.append(self._parse(raw, client, parse))
            if number % _EVENTS_PER_SLICE == 0:
                await asyncio.sleep(0)
        valid = [event for event in parsed if isinstance(event, EncodedEvent)]
        if valid:
            self._check_capacity(sum(len(event.value) for event in valid))
        if self._tracer is None or not valid:
            queued = iter([self._queue(event) for event in valid])
        else:
            queued = iter(self._queue_traced(self._tracer, valid, client, BATCH_PATH, started_at))
        sent = [next(queued) if isinstance(event, EncodedEvent) else None for event in parsed]
        if confirmations := {confirmed for confirmed in sent if confirmed is not None}:
            await asyncio.wait(confirmations)
        return self.results(
            [
                event if confirmed is None or confirmed.result() else self._failed()
                for event, confirmed in zip(parsed, sent, strict=True)
            ]
        )

    def _failed(self) -> Rejected:
        return Rejected(self._accumulator.transport.failure)

    def _check_capacity(self, size: int) -> None:
        if not self._accumulator.is_open:
            raise self._failed()
        self._accumulator.check_capacity(size)

    def _queue(self, event: EncodedEvent) -> asyncio.Future[bool]:
        return self._accumulator.add(event.key, event.value, event.headers)

    def _queue_traced(
        self,
        tracer: "Tracer",
        events: Sequence[EncodedEvent],
        client: Client,
        path: str,
        started_at: float,
    ) -> list[asyncio.Future[bool]]:
        """Queue the events of a request with its trace context, and trace it until confirmed."""
        seconds = time.perf_counter() - started_at
        span = tracer.begin_request(f"POST {path}", client.traceparent, seconds)
        more = tracer.record_headers(span)
        confirmations = [
            self._accumulator.add(event.key, event.value, [*event.headers, *more])
            for event in events
        ]
        site = events[0].key.decode().partition(":")[0]
        tracer.end_when_confirmed(
            span, confirmations, {"headrace.site_id": site, "headrace.events": len(events)}
        )
        return confirmations

    def _parse(self, raw: Any, client: Client, parse: Parse) -> EncodedEvent | Rejected:
        try:
            return parse(raw, self._context, client)
        except Rejected as rejected:
            return rejected.without_frames()
        except Exception as error:  # noqa: BLE001 - must not affect the other events
            return _internal_error(error)

    def results(self, outcomes: Sequence[EncodedEvent | Rejected]) -> Results:
        """Count events as accepted or rejected, and return the results of all in order."""
        accepted = Counter(event.type for event in outcomes if isinstance(event, EncodedEvent))
        for name, count in accepted.items():
            self._metrics.counters.count_accepted(name, count)
        results: list[dict[str, Any]] = []
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, EncodedEvent):
                results.append({"index": index, "status": "accepted", "event_id": outcome.event_id})
                if outcome.clamped:
                    results[-1]["clamped"] = outcome.clamped
            else:
                self._metrics.count_rejected(outcome)
                status = "failed" if outcome.reason in _FAILURES else "rejected"
                results.append({"index": index, "status": status, **outcome.to_json()})
        counts = Counter(result["status"] for result in results)
        retry_after = max(result.get("retry_after", 0) for result in results)
        return Results(_status(counts), _summary(counts, results), retry_after)


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


def _status(counts: Counter[Any]) -> int:
    if counts["accepted"]:
        return 202 if counts.total() == counts["accepted"] else 207
    return 500 if counts["failed"] else 400


def _summary(counts: Counter[Any], results: list[dict[str, Any]]) -> dict[str, Any]:
    summary = {"accepted": counts["accepted"], "rejected": counts["rejected"]}
    if counts["failed"]:
        summary["failed"] = counts["failed"]
    return {**summary, "results": results}
