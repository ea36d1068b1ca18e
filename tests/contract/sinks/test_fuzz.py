"""Responses of the query API conform to its OpenAPI document and are never 5xx."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import settings
from prometheus_client import CollectorRegistry
from schemathesis.generation.case import Case
from sqlalchemy import Connection

from query_api import tokens
from query_api.app import Query, Services
from query_api.live_store import LiveStore
from query_api.openapi import document
from schemas.records import Subscription
from sinks.delivery import subscription_store
from sinks.delivery.sender import CheckingResolver
from sinks.delivery.service import Subscriptions
from sinks.delivery.subscription_spec import SubscriptionSpec
from sinks.sites.service import SiteService
from sinks.sql.engine import open_database
from sinks.sql.reader import open_reader
from sinks.sql.types import now_utc
from tests.component.query_api.conftest import FakeReader, FakeTopic
from tests.fixtures.fuzzing import CHECKS, EXAMPLES, load
from tests.fixtures.migrated import create_migrated
from tests.fixtures.serving import served
from tests.unit.query_api.test_live import NOW_MS

# Streams do not end.
_SCHEMA = load(document()).exclude(path_regex="/stream$")


class Role:
    """The role `query` over a database with one token, and a topic that accepts everything."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.token = ""
        self.subscription_id = str(uuid4())

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Query]:
        """Return the application after startup."""
        database = open_database(self._url)
        spec = SubscriptionSpec("shop", "payment", {}, "https://example.com/", 0, enabled=True)

        def prepare(connection: Connection) -> str:
            subscription_store.add(connection, self.subscription_id, spec, "whsec_x", now_utc())
            return tokens.create(connection, "", None, "manage")

        self.token = await database.run(prepare)
        reader = FakeReader(LiveStore(lambda: NOW_MS))
        query = Query(
            open_reader(self._url),
            reader,  # type: ignore[arg-type]
            CollectorRegistry(),
            self._services,
            lambda: NOW_MS,
            authentication=open_reader(self._url),
        )
        await query.start()
        yield query
        await query.stop()
        await database.close()

    @asynccontextmanager
    async def _services(self) -> AsyncIterator[Services]:
        database, reader = open_database(self._url), open_reader(self._url)
        resolver = CheckingResolver(allow_private=False)
        service = Subscriptions(database, reader, _publish, resolver, allow_private=False)
        sites = SiteService(database, FakeTopic().publish, service.delete)
        yield Services(service, FakeTopic().publish, sites)
        await resolver.close()
        await reader.close()
        await database.close()


async def _publish(_subscription_id: str, _record: Subscription | None) -> None:
    """Accept a record."""


@pytest.fixture(scope="module")
def role(tmp_path_factory: pytest.TempPathFactory) -> Role:
    """Yield the role over SQLite."""
    url = f"sqlite:///{tmp_path_factory.mktemp('fuzz')}/headrace.db"
    create_migrated(url)
    return Role(url)


@pytest.fixture(scope="module")
def address(role: Role) -> Iterator[str]:
    """Return its address."""
    with served(role.started()) as address:
        yield address


@_SCHEMA.parametrize()
@settings(max_examples=EXAMPLES)
def test_every_response_is_documented(case: Case[Any], role: Role, address: str) -> None:
    """Status, content type and body, for valid and invalid requests."""
    names = case.path_parameters or {}
    if case.method != "DELETE" and _is_uuid(names.get("subscription_id")):
        names["subscription_id"] = role.subscription_id
    headers = {"Authorization": f"Bearer {role.token}"}
    case.call_and_validate(base_url=address, headers=headers, checks=CHECKS)


def _is_uuid(text: object) -> bool:
    try:
        UUID(str(text))
    except ValueError:
        return False
    return True
