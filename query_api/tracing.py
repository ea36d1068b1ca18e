"""Spans of requests, if traces are enabled."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from starlette.types import Scope

from schemas.headers import TRACEPARENT

if TYPE_CHECKING:
    from schemas.tracing import RequestSpan, Tracer

_HEADER = TRACEPARENT.encode()


@contextmanager
def span_of(tracer: "Tracer | None", scope: Scope) -> Iterator["RequestSpan | None"]:
    """Yield the span of a request, which continues the trace of its header; None without traces."""
    if tracer is None:
        yield None
        return
    traceparent = dict(scope["headers"]).get(_HEADER, b"").decode("latin-1")
    with tracer.request(scope["method"], traceparent) as span:
        yield span
