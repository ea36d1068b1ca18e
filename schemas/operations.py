"""The paths for machines and developers that every HTTP role serves: health, metrics, OpenAPI."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Match, Route

from schemas import http_docs

_log = logging.getLogger(__name__)

OPERATION_PATHS = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs")
_NO_STORE = {"cache-control": "no-store"}
#: Returns why the server is not ready, None when it is.
Check = Callable[[], str | None]
Endpoint = Callable[[Request], Awaitable[Response]]


class Operations:
    """Answers `/healthz`, `/readyz`, `/metrics`, `/openapi.json` and `/docs`.

    The server is ready when each of `checks` returns None; the first reason is the answer.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        checks: Sequence[Check],
        document: Callable[[], http_docs.Document],
    ) -> None:
        self.registry = registry
        self.checks = list(checks)
        #: Returns the OpenAPI document; replaced where another role is served as well.
        self.document = document
        self._whole: http_docs.Document | None = None
        self._describing = asyncio.Lock()

    def routes(self) -> list[BaseRoute]:
        """Return the routes, for an application of Starlette or FastAPI."""
        endpoints = (self._health, self._ready, self._metrics, self._openapi, self._docs)
        return [
            Route(path, _logged(endpoint))
            for path, endpoint in zip(OPERATION_PATHS, endpoints, strict=True)
        ]

    async def _described(self) -> http_docs.Document:
        # In a thread, because it takes a part of a second and must not delay events; once, because
        # FastAPI describes an application in one thread at a time.
        async with self._describing:
            if self._whole is None:
                self._whole = await asyncio.to_thread(self.document)
        return self._whole

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=_NO_STORE)

    async def _ready(self, _: Request) -> Response:
        for check in self.checks:
            if (reason := check()) is not None:
                content = {"error": reason, "code": "not_ready"}
                return JSONResponse(content, 503, {**_NO_STORE, "retry-after": "1"})
        return JSONResponse({"status": "ready"}, headers=_NO_STORE)

    async def _metrics(self, _: Request) -> Response:
        headers = {"content-type": CONTENT_TYPE_LATEST}
        return Response(generate_latest(self.registry), headers=headers)

    async def _openapi(self, request: Request) -> Response:
        content = http_docs.openapi(await self._described(), request.scope)
        return Response(content, media_type="application/json")

    async def _docs(self, request: Request) -> Response:
        page = http_docs.page(await self._described(), request.scope)
        return HTMLResponse(page, headers={"content-security-policy": http_docs.POLICY})


def _logged(endpoint: Endpoint) -> Endpoint:
    """Return an endpoint that answers 500 in the form of all errors when it fails."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Exception:  # noqa: BLE001 - the edge: logged and answered
            _log.exception("%s failed", request.url.path)
            error = "The server failed at this, and its log says where"
            return JSONResponse({"error": error, "code": "internal_error"}, 500, _NO_STORE)

    return answer


def machine_paths() -> http_docs.Document:
    """Return the OpenAPI description of these paths."""
    return {
        "/healthz": _read("get_health", "Whether the process lives.", "application/json"),
        "/readyz": _read(
            "get_readiness", "Whether it is ready; 503 says why not.", "application/json", 503
        ),
        "/metrics": _read("get_metrics", "Metrics, as Prometheus text.", "text/plain"),
        "/openapi.json": _read("get_openapi", "This document for machines.", "application/json"),
        "/docs": _read("get_docs", "This document as a page.", "text/html"),
    }


def _read(operation_id: str, summary: str, content_type: str, *others: int) -> dict[str, Any]:
    schema = {} if content_type.endswith("json") else {"type": "string"}
    answer = {"description": summary, "content": {content_type: {"schema": schema}}}
    operation = {
        "operationId": operation_id,
        "tags": ["Operation"],
        "summary": summary,
        "security": [],
        "responses": {"200": answer, **{str(status): answer for status in others}},
    }
    return {"get": operation}


def allowed_methods(routes: Iterable[BaseRoute], request: Request) -> str:
    """Return the methods that a path takes, for the header `Allow`; HEAD goes with GET."""
    methods: set[str] = set()
    for route in routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
