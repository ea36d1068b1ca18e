"""The role `query` in this process, with a real database and a live store filled by tests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from query_api import alert_feed, live_feed, openapi, sse, tokens
from query_api.app import Query, Services
from query_api.live_store import LiveStore
from schemas.codec import encode
from schemas.records import LiveCounters
from sinks.delivery.publisher import Configuration, Unavailable
from sinks.sites.service import SiteService
from sinks.sql.engine import Database, open_database
from sinks.sql.reader import open_reader
from sinks.sql.tables import AlertRow
from sinks.sql.writer import Writer
from tests.component.query_api.fake_service import FakeService
from tests.contract.sinks import samples
from tests.fixtures.migrated import create_migrated
from tests.unit.query_api.test_live import NOW_MS


class FakeReader:
    """A `LiveReader` that reads nothing; tests fill its store."""

    def __init__(self, store: LiveStore) -> None:
        self.store = store
        self.problem: str | None = None
        self.malformed = 0

    def start(self, now_ms: int) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""


class FakeTopic:
    """A compacted topic in memory. Set `is_unavailable` to simulate an outage of Kafka."""

    def __init__(self) -> None:
        self.records: dict[str, Configuration | None] = {}
        self.is_unavailable = False

    async def publish(self, key: str, record: Configuration | None) -> None:
        """Store the last record of a key."""
        if self.is_unavailable:
            raise Unavailable("Kafka does not answer")
        self.records[key] = record


@dataclass
class Role:
    """The application and its dependencies."""

    query: Query
    reader: FakeReader
    service: FakeService
    windows: FakeTopic
    database: Database
    writer: Writer
    sites: FakeTopic

    def put(self, counters: LiveCounters) -> None:
        """Store live counters."""
        self.reader.store.put(encode(counters), NOW_MS)

    async def token(self, *sites: str) -> str:
        """Create a token with the scope `manage` for sites, or for all."""
        return await self.database.run(lambda c: tokens.create(c, "", sites or None, "manage"))

    async def read_token(self, *sites: str) -> str:
        """Create a token with the scope `read` for sites, or for all."""
        return await self.database.run(lambda c: tokens.create(c, "", sites or None))

    async def alert(self, offset: int, site_id: str = "shop") -> None:
        """Store an alert."""
        rows = {AlertRow: [samples.alert_at(offset, offset, site_id)]}
        await self.writer.write(samples.TOPIC, 0, offset + 1, rows, samples.expect_no_rejection)

    def client(self, token: str | None = None) -> httpx.AsyncClient:
        """Return a client that calls the application in this process."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.query),
            base_url="http://headrace",
            headers=headers,
        )


@pytest.fixture
def list_seconds() -> float:
    """Return the statement timeout of lists: longer than any test."""
    return 600.0


@pytest.fixture
async def role(
    tmp_path: Path, list_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Role]:
    """Yield the started role with a SQLite database; its streams poll often."""
    monkeypatch.setattr(sse, "POLL_SECONDS", 0.05)
    for feed in (alert_feed, live_feed):
        monkeypatch.setattr(feed, "INTERVAL_SECONDS", 0.05)
    url = f"sqlite:///{tmp_path}/headrace.db"
    create_migrated(url)
    database, writer = open_database(url), await samples.open_for_test(url)
    await writer.assign(samples.TOPIC, 0)
    (reader, service, windows) = (FakeReader(LiveStore(lambda: NOW_MS)), FakeService(), FakeTopic())
    sites = FakeTopic()
    query = new_query(url, reader, service, windows, list_seconds, sites)
    await query.start()
    yield Role(query, reader, service, windows, database, writer, sites)
    await query.stop()
    await writer.close()
    await database.close()


def new_query(  # noqa: PLR0913, PLR0917 - each is a dependency
    url: str,
    reader: FakeReader,
    service: FakeService,
    windows: FakeTopic | None = None,
    list_seconds: float = 10.0,
    sites: FakeTopic | None = None,
) -> Query:
    """Return an application whose clock stands at `NOW_MS`."""
    publish = (windows or FakeTopic()).publish

    @asynccontextmanager
    async def open_services() -> AsyncIterator[Services]:
        database = open_database(url)
        registered = SiteService(database, (sites or FakeTopic()).publish, service.delete)
        yield Services(service, publish, registered)  # type: ignore[arg-type]
        await database.close()

    query = Query(
        open_reader(url, list_seconds),
        reader,  # type: ignore[arg-type]
        CollectorRegistry(),
        open_services,
        lambda: NOW_MS,
        authentication=open_reader(url, readers=2),
    )
    query.operations.document = _document
    return query


@cache
def _document() -> dict[str, Any]:
    """Return the OpenAPI document, generated once: it takes 0.1 s."""
    return openapi.document()


class Watching:
    """A client of a stream, which collects what it is sent."""

    def __init__(self, query: Callable[..., Any], path: str, token: str, **headers: str) -> None:
        (path, _, query_string) = path.partition("?")
        self.sent = b""
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self._disconnected = asyncio.Event()
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": query_string.encode(),
            "headers": [
                (b"authorization", f"Bearer {token}".encode()),
                *(
                    (name.replace("_", "-").encode(), text.encode())
                    for name, text in headers.items()
                ),
            ],
        }
        self.task = asyncio.ensure_future(query(scope, self._receive, self._send))

    def disconnect(self) -> None:
        """Close the connection."""
        self._disconnected.set()

    def events(self, name: str) -> list[str]:
        """Return the complete events with this name."""
        return [
            message
            for message in self.sent.decode().split("\n\n")[:-1]
            if f"event: {name}" in message.split("\n")
        ]

    async def _receive(self) -> dict[str, Any]:
        await self._disconnected.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message["headers"])
        self.sent += message.get("body", b"")
