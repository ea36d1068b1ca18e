"""The roles `api` and `query` in one process, behind one address."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from producer_api import answers
from producer_api import openapi as api_openapi
from producer_api.app import EVENT_PATHS, Api, create_app
from producer_api.body import Receive
from schemas.settings import Settings
from sinks.query import openapi as query_openapi
from sinks.query.app import Query, create_query

#: What `Api` answers; the rest is for `Query`.
API_PATHS = EVENT_PATHS | {"/healthz", "/readyz", "/metrics", "/docs"}

_OPENAPI = "/openapi.json"


class Web:
    """One ASGI application of two, started, drained and stopped together."""

    def __init__(self, api: Api, query: Query) -> None:
        self._api = api
        self.direct = api.direct
        self._query = query
        self._openapi = answers.json(200, document())

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Any) -> None:
        """Serve one request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["path"] == _OPENAPI and scope["method"] in ("GET", "HEAD"):
            (status, headers) = (self._openapi.status, self._openapi.headers)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": self._openapi.body})
        elif scope["path"] in API_PATHS:
            await self._api(scope, receive, send)
        else:
            await self._query(scope, receive, send)

    async def drain(self) -> None:
        """Refuse what comes from now on; return when all that came before is answered."""
        await asyncio.gather(self._api.drain(), self._query.drain())

    async def _live(self, receive: Receive, send: Any) -> None:
        await receive()
        await self._api.start()
        await self._query.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.gather(self._api.stop(), self._query.stop())
        await send({"type": "lifespan.shutdown.complete"})


def create_web(
    settings: Settings,
    *,
    ready_checks: Sequence[Callable[[], str | None]],
    registry: CollectorRegistry,
) -> Web:
    """Wire both roles; `ready_checks` are of the roles in other processes."""
    query = create_query(settings, registry=registry)
    checks = [*ready_checks, lambda: query.trouble]
    return Web(create_app(settings, ready_checks=checks, registry=registry), query)


def document() -> dict[str, Any]:
    """Return the OpenAPI document of both roles."""
    whole = api_openapi.document()
    whole["paths"] = {**whole["paths"], **query_openapi.paths()}
    components = whole["components"]
    components["schemas"] = {**components["schemas"], **query_openapi.components()}
    components["securitySchemes"] = query_openapi.security_schemes()
    return whole
