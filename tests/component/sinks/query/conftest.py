"""The role `query` in this process: real SQL, and a board that the test fills."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from schemas.codec import encode
from schemas.records import LiveCounters
from sinks.query import tokens
from sinks.query.app import Query, Services
from sinks.query.live_board import Board
from sinks.sql.engine import Database, open_database
from sinks.sql.migrate import upgrade
from sinks.sql.reader import open_reader
from sinks.sql.tables import AlertRow
from sinks.sql.writer import Writer
from sinks.webhooks.topic import Configuration, Unavailable
from tests.component.sinks.query.fake_service import FakeService
from tests.contract.sinks import samples
from tests.unit.sinks.query.test_live import NOW_MS


class FakeReader:
    """Stands in for `LiveReader`: nothing comes but what the test puts."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.trouble: str | None = None

    def start(self, now_ms: int) -> None:
        """There is nothing to read."""

    async def stop(self) -> None:
        """There is nothing to stop."""


class FakeTopic:
    """A compacted topic in memory; `away` is when Kafka is."""

    def __init__(self) -> None:
        self.records: dict[str, Configuration | None] = {}
        self.away = False

    async def publish(self, key: str, record: Configuration | None) -> None:
        """Keep the last record of a key."""
        if self.away:
            raise Unavailable("Kafka does not answer")
        self.records[key] = record


@dataclass
class Role:
    """The application, and what a test does to what is behind it."""

    query: Query
    reader: FakeReader
    service: FakeService
    windows: FakeTopic
    database: Database
    writer: Writer

    def put(self, counters: LiveCounters) -> None:
        """Let live counters come in."""
        self.reader.board.put(encode(counters), NOW_MS)

    async def token(self, *sites: str) -> str:
        """Return a new token that reads and manages sites, or all."""
        return await self.database.run(lambda c: tokens.create(c, "", sites or None, "manage"))

    async def read_token(self, *sites: str) -> str:
        """Return a new token that only reads sites, or all."""
        return await self.database.run(lambda c: tokens.create(c, "", sites or None))

    async def alert(self, offset: int, site_id: str = "shop") -> None:
        """Let an alert be stored."""
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
    """Give the time limit of a list: longer than any test."""
    return 600.0


@pytest.fixture
async def role(tmp_path: Path, list_seconds: float) -> AsyncIterator[Role]:
    """Give the role, started, over a SQLite database."""
    url = f"sqlite:///{tmp_path}/headrace.db"
    upgrade(url)
    database, writer = open_database(url), await samples.open_for_test(url)
    await writer.assign(samples.TOPIC, 0)
    (reader, service, windows) = (FakeReader(Board(lambda: NOW_MS)), FakeService(), FakeTopic())
    query = new_query(url, reader, service, windows, list_seconds)
    await query.start()
    yield Role(query, reader, service, windows, database, writer)
    await query.stop()
    await writer.close()
    await database.close()


def new_query(
    url: str,
    reader: FakeReader,
    service: FakeService,
    windows: FakeTopic | None = None,
    list_seconds: float = 10.0,
) -> Query:
    """Return an application at a fixed time."""
    publish = (windows or FakeTopic()).publish

    @asynccontextmanager
    async def opened() -> AsyncIterator[Services]:
        yield Services(service, publish)  # type: ignore[arg-type]

    return Query(
        open_reader(url, list_seconds),
        reader,  # type: ignore[arg-type]
        CollectorRegistry(),
        opened,
        lambda: NOW_MS,
        authentication=open_reader(url, readers=2),
    )


class Watching:
    """A client of a stream: what it was sent, as it comes."""

    def __init__(self, query: Callable[..., Any], path: str, token: str, **headers: str) -> None:
        (bare, _, asked) = path.partition("?")
        self.sent = b""
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self._left = asyncio.Event()
        scope = {
            "type": "http",
            "method": "GET",
            "path": bare,
            "query_string": asked.encode(),
            "headers": [
                (b"authorization", f"Bearer {token}".encode()),
                *(
                    (name.replace("_", "-").encode(), text.encode())
                    for name, text in headers.items()
                ),
            ],
        }
        self.task = asyncio.ensure_future(query(scope, self._receive, self._send))

    def leave(self) -> None:
        """Close the connection."""
        self._left.set()

    def events(self, name: str) -> list[str]:
        """Return the events of a name that came whole."""
        return [
            message
            for message in self.sent.decode().split("\n\n")[:-1]
            if f"event: {name}" in message.split("\n")
        ]

    async def _receive(self) -> dict[str, Any]:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message["headers"])
        self.sent += message.get("body", b"")
