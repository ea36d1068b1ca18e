"""Observation of requests: access log, metrics and traces."""

import time
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from query_api.access_log import log_request, log_stream_end
from query_api.headers import sanitize_headers, with_default_headers
from query_api.metrics import Metrics
from schemas.asgi_extensions import canonical_path
from schemas.operational_endpoints import OPERATION_PATHS

if TYPE_CHECKING:
    from schemas.tracing import RequestSpan


class ObservedApplication:
    """An ASGI application whose responses are logged and counted."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, span: "RequestSpan | None"
    ) -> None:
        """Serve, log and count a request. HEAD is served as GET; the server omits the body."""
        started = time.perf_counter()
        method = scope["method"]
        inner: dict[str, Any] = {
            **scope,
            "method": "GET" if method == "HEAD" else method,
            "path": canonical_path(scope["path"]),
            "headers": sanitize_headers(scope["headers"]),
            "state": {**scope.get("state", {}), "method": method},
        }
        is_stream = False

        async def observe(message: Message) -> None:
            nonlocal is_stream
            if message["type"] == "http.response.start":
                headers = message["headers"] = with_default_headers(message["headers"])
                is_stream = dict(headers).get(b"content-type") == b"text/event-stream"
                template = self._record(
                    scope, inner, message["status"], time.perf_counter() - started
                )
                if span is not None:
                    span.end(template, message["status"])
            await send(message)

        await self._app(inner, receive, observe)
        if is_stream and method != "HEAD":
            log_stream_end(scope, time.perf_counter() - started)

    def _record(self, scope: Scope, inner: Scope, status: int, seconds: float) -> str:
        """Count and log a response; return the path template of its route."""
        # The label is the path template of the route, to limit its cardinality.
        path = inner["path"] if inner["path"] in OPERATION_PATHS else "none"
        template = str(getattr(inner.get("route"), "path", path))
        self._metrics.requests.labels(template, str(status)).inc()
        self._metrics.seconds.labels(template).observe(seconds)
        log_request(scope, f"{status} {inner['state'].get('code', '')}".rstrip(), seconds)
        return template
