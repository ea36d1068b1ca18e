"""Traces with OpenTelemetry, whose context is in HTTP and record headers (W3C `traceparent`).

Imported only if traces are enabled (ADR 73).
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from schemas.headers import TRACEPARENT, Headers, find
from schemas.log_context import TRACE

#: The spans of one batch. Of more traced records, the first ones have a span.
MAX_SPANS_PER_BATCH = 100

#: The first HTTP status that is the server's fault.
_SERVER_ERROR = 500
_PROPAGATOR = TraceContextTextMapPropagator()


class RequestSpan(NamedTuple):
    """The span of a request to `query`."""

    span: Span
    method: str

    def end(self, route: str, status: int) -> None:
        """Name the span after the route, a path template, and end it."""
        self.span.update_name(f"{self.method} {route}")
        self.span.set_attributes({"http.route": route, "http.response.status_code": status})
        if status >= _SERVER_ERROR:
            self.span.set_status(Status(StatusCode.ERROR))
        self.span.end()


class Tracer:
    """Begins spans. Their attributes contain no data about visitors."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("headrace")

    def begin_request(self, name: str, traceparent: str, seconds: float) -> Span:
        """Begin the span of a request that arrived `seconds` ago, with its `traceparent`, or ""."""
        started_ns = time.time_ns() - int(seconds * 1e9)
        return self._begin(name, SpanKind.SERVER, traceparent, started_ns, {})

    def record_headers(self, span: Span) -> Headers:
        """Return the record header that continues the trace of a span; none if not sampled."""
        context = span.get_span_context()
        if not context.trace_flags.sampled:
            return ()
        value = f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
        return ((TRACEPARENT, value.encode()),)

    def end_when_confirmed(
        self,
        span: Span,
        confirmations: Iterable[asyncio.Future[bool]],
        attributes: Mapping[str, str | int],
    ) -> None:
        """End the span of a request when Kafka confirmed, or did not confirm, all its events."""
        span.set_attributes(attributes)
        pending = set(confirmations)

        def on_done(confirmed: asyncio.Future[bool]) -> None:
            pending.discard(confirmed)
            if confirmed.cancelled() or not confirmed.result():
                span.set_status(Status(StatusCode.ERROR, "Kafka did not confirm an event"))
            if not pending:
                span.end()

        for confirmed in tuple(pending):
            confirmed.add_done_callback(on_done)

    @contextmanager
    def request(self, method: str, traceparent: str) -> Iterator[RequestSpan]:
        """Trace a request with its `traceparent`, or "", until its response begins."""
        span = self.begin_request(method, traceparent, 0.0)
        token = TRACE.set(_trace_id(span) if span.is_recording() else "")
        try:
            yield RequestSpan(span, method)
        finally:
            TRACE.reset(token)
            if span.is_recording():  # without a response
                span.set_status(Status(StatusCode.ERROR, "No response"))
                span.end()

    @contextmanager
    def batch(
        self, agent: str, topic: str, partition: int, records: Sequence[Any]
    ) -> Iterator[None]:
        """Trace the processing of the traced records of a batch, each as part of its trace."""
        traced = [
            (record, traceparent.decode("latin-1"))
            for record in records
            if (traceparent := find(record.headers, TRACEPARENT)) is not None
        ]
        if not traced:
            yield
            return
        started_ns = time.time_ns()
        spans = [
            self._begin(
                agent,
                SpanKind.CONSUMER,
                traceparent,
                started_ns,
                {
                    "messaging.system": "kafka",
                    "messaging.destination.name": topic,
                    "messaging.destination.partition.id": str(partition),
                    "messaging.kafka.offset": record.offset,
                    "messaging.batch.message_count": len(records),
                },
            )
            for record, traceparent in traced[:MAX_SPANS_PER_BATCH]
        ]
        token = TRACE.set(_trace_id(spans[0]) if len(spans) == 1 else "")
        try:
            yield
        except BaseException as error:
            for span in spans:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            TRACE.reset(token)
            for span in spans:
                span.end()

    def _begin(
        self,
        name: str,
        kind: SpanKind,
        traceparent: str,
        started_ns: int,
        attributes: Mapping[str, str | int],
    ) -> Span:
        context = _PROPAGATOR.extract({TRACEPARENT: traceparent})
        return self._tracer.start_span(
            name, context, kind, attributes=attributes, start_time=started_ns
        )


def _trace_id(span: Span) -> str:
    return f"{span.get_span_context().trace_id:032x}"
