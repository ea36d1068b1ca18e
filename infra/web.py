"""The roles `api` and `query` in one process, behind one address."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from infra.api import create_api
from producer_api import openapi as api_openapi
from producer_api.app import Api
from producer_api.paths import is_event_path, route_path
from schemas.settings import Settings
from sinks.query import openapi as query_openapi
from sinks.query.app import Query, create_query


class Web:
    """One ASGI application of two, started, drained and stopped together.

    `Api` serves the paths of events, `Query` all others.
    """

    def __init__(self, api: Api, query: Query) -> None:
        self._api = api
        self.intake = api.intake
        self._query = query
        query.operations.document = document
        query.operations.checks = [*api.operations.checks, *query.operations.checks]
        self._lifespan = Router(lifespan=self._run)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif is_event_path(route_path(scope["path"])):
            await self._api(scope, receive, send)
        else:
            await self._query(scope, receive, send)

    @asynccontextmanager
    async def _run(self, _: object) -> AsyncIterator[None]:
        await self._api.start()
        await self._query.start()
        yield
        await asyncio.gather(self._api.stop(), self._query.stop())

    async def drain(self) -> None:
        """Refuse what comes from now on; return when all that came before is answered."""
        await asyncio.gather(self._api.drain(), self._query.drain())

    def describe(self, address: str) -> list[str]:
        """Return what both serve at this address, for the log."""
        return [*self._api.describe(address), *self._query.describe(address)]


def create_web(
    settings: Settings,
    *,
    ready_checks: Sequence[Callable[[], str | None]],
    first_checks: Sequence[Callable[[], str | None]] = (),
    registry: CollectorRegistry,
) -> Web:
    """Wire both roles; `ready_checks` are of other processes, `first_checks` of the machine."""
    query = create_query(settings, registry=registry)
    web = Web(create_api(settings, ready_checks=ready_checks, registry=registry), query)
    query.operations.checks[:0] = first_checks
    return web


def document() -> dict[str, Any]:
    """Return the OpenAPI document of both roles."""
    whole = api_openapi.document()
    own = {tag["name"] for tag in whole["tags"]}
    described = query_openapi.document()
    # What is for machines comes last.
    more = [tag for tag in described["tags"] if tag["name"] not in own]
    whole["tags"] = [*whole["tags"][:-1], *more, whole["tags"][-1]]
    whole["paths"] = {**described["paths"], **whole["paths"]}
    whole["info"]["description"] += " Live numbers, alerts, visits and pages of a site."
    whole["webhooks"] = described["webhooks"]
    components = whole["components"]
    more_components = described["components"]
    components["schemas"] = {**components["schemas"], **more_components["schemas"]}
    components["securitySchemes"] = more_components["securitySchemes"]
    return whole
