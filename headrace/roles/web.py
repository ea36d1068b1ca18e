"""The roles `api` and `query` in one process and on one port."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from headrace.roles.api import create_api, report_api
from headrace.roles.heartbeat import Report
from headrace.roles.query import create_query
from producer_api.http import openapi as api_openapi
from producer_api.http.app import Api
from producer_api.http.paths import is_api_path, route_path
from query_api import openapi as query_openapi
from query_api.app import Query
from schemas.settings import Settings


class Web:
    """An ASGI application for both roles: `Api` serves events and scripts, `Query` the rest."""

    def __init__(self, api: Api, query: Query) -> None:
        self._api = api
        self.intake = api.intake
        self.count_unserved = api.count_unserved
        self._query = query
        self.operations = query.operations
        self.add_background_task = api.add_background_task
        query.operations.document = document
        query.operations.checks = [*api.operations.checks, *query.operations.checks]
        self._lifespan = Router(lifespan=self._run)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or the lifespan protocol."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif is_api_path(route_path(scope["path"])):
            await self._api(scope, receive, send)
        else:
            await self._query(scope, receive, send)

    def report(self) -> Report:
        """Return what a heartbeat reports; the other processes report their own problems."""
        report = report_api(self._api)
        return report._replace(not_ready=report.not_ready or self._query.problem)

    @asynccontextmanager
    async def _run(self, _: object) -> AsyncIterator[None]:
        await self._api.start()
        await self._query.start()
        yield
        await asyncio.gather(self._api.stop(), self._query.stop())

    async def drain(self) -> None:
        """Reject new requests; return when all earlier ones have a response."""
        await asyncio.gather(self._api.drain(), self._query.drain())

    def describe(self, address: str) -> list[str]:
        """Return the log lines about what both roles serve at this address."""
        return [*self._api.describe(address), *self._query.describe(address)]


def create_web(
    settings: Settings,
    *,
    ready_checks: Sequence[Callable[[], str | None]],
    first_checks: Sequence[Callable[[], str | None]] = (),
    registry: CollectorRegistry,
) -> Web:
    """Create both roles. Checks return why headrace is not ready, else None.

    `ready_checks` are those of other processes; `first_checks` take precedence over all others.
    """
    query = create_query(settings, registry=registry)
    web = Web(create_api(settings, ready_checks=ready_checks, registry=registry), query)
    query.operations.checks[:0] = first_checks
    return web


def document() -> dict[str, Any]:
    """Return the OpenAPI document of both roles."""
    merged = api_openapi.document()
    query = query_openapi.document()
    api_tags = {tag["name"] for tag in merged["tags"]}
    query_tags = [tag for tag in query["tags"] if tag["name"] not in api_tags]
    # The tag of the operational endpoints stays last.
    merged["tags"] = [*merged["tags"][:-1], *query_tags, merged["tags"][-1]]
    merged["paths"] = {**query["paths"], **merged["paths"]}
    merged["info"]["description"] += " Live numbers, alerts, visits and pages of a site."
    merged["webhooks"] = query["webhooks"]
    components = merged["components"]
    components["schemas"] = {**components["schemas"], **query["components"]["schemas"]}
    components["securitySchemes"] |= query["components"]["securitySchemes"]
    return merged
