"""The OpenAPI documents and the documentation page match the served paths."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import httpx
import pytest
from openapi_spec_validator import validate

from headrace.roles.web import Web, document
from producer_api.http.app import Api
from producer_api.http.openapi import document as api_document
from producer_api.tracker.scripts import NAMES
from query_api.app import Query
from query_api.live_store import LiveStore
from query_api.openapi import document as query_document
from schemas import http_docs
from tests.component.producer_api.conftest import new_api
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.component.query_api.conftest import FakeReader, new_query
from tests.component.query_api.fake_service import FakeService
from tests.fixtures.migrated import create_migrated

#: Generated once each; none is changed.
DOCUMENTS = {"api": cache(api_document), "query": cache(query_document), "up": cache(document)}
#: The paths of both roles, and of the dashboard.
PUBLIC = {"/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"}
PAGE = {"/", "/page/token"}
EVENTS = {"/api/event", "/api/events"}
SCRIPTS = {f"/{name}" for name in NAMES}


@asynccontextmanager
async def _role(name: str, folder: Path) -> AsyncIterator[Api | Query | Web]:
    url = f"sqlite:///{folder}/headrace.db"
    create_migrated(url)
    api = new_api(FakeKafka())
    query = new_query(url, FakeReader(LiveStore(int)), FakeService())
    found: dict[str, Api | Query] = {"api": api, "query": query}
    role = found[name] if name in found else Web(api, query)
    await api.start()
    await query.start()
    yield role
    await query.stop()


def _client(role: Api | Query | Web, base: str = "http://shop.example:9999") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(role), base_url=base)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_document_is_valid(name: str) -> None:
    """As OpenAPI 3.1, and it describes all tags that it uses."""
    spec = DOCUMENTS[name]()

    validate(http_docs.served(spec, "http://127.0.0.1:9"))
    used = {tag for item in spec["paths"].values() for one in item.values() for tag in one["tags"]}
    assert used == {tag["name"] for tag in spec["tags"]}


async def test_the_document_is_created_before_requests_are_served(tmp_path: Path) -> None:
    """FastAPI fails if one thread creates the document while another serves requests."""
    described: list[int] = []

    def describe() -> http_docs.Document:
        described.append(1)
        return document()

    url = f"sqlite:///{tmp_path}/headrace.db"
    create_migrated(url)
    query = new_query(url, FakeReader(LiveStore(int)), FakeService())
    query.operations.document = describe
    await query.start()
    assert described == [1]

    async with _client(query) as client:
        answers = await asyncio.gather(*(client.get("/docs") for _ in range(10)))
    await query.stop()
    assert [answer.status_code for answer in answers] == [200] * 10
    assert described == [1]


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_each_described_path_is_served(name: str, tmp_path: Path) -> None:
    """By the role that describes it."""
    async with _role(name, tmp_path) as role, _client(role) as client:
        for path, item in DOCUMENTS[name]()["paths"].items():
            for method in item:
                answer = await client.request(method, _filled(path))
                assert answer.status_code not in (404, 405, 500), (method, path)


def test_each_served_path_is_described() -> None:
    """By the role that serves it, and by the combined document."""
    spec = DOCUMENTS["query"]()["paths"]

    assert spec.keys() >= PUBLIC | PAGE
    assert DOCUMENTS["api"]()["paths"].keys() == PUBLIC | EVENTS | SCRIPTS
    assert DOCUMENTS["up"]()["paths"].keys() == spec.keys() | EVENTS | SCRIPTS


@pytest.mark.parametrize("name", DOCUMENTS)
def test_operation_ids_are_unique(name: str) -> None:
    """Client generators use them as names."""
    items = DOCUMENTS[name]()["paths"].values()
    ids = [operation["operationId"] for item in items for operation in item.values()]

    assert len(ids) == len(set(ids))
    assert all(re.fullmatch("[a-z_]+", one) for one in ids)


def _filled(path: str) -> str:
    values = {"site_id": "shop"}
    some_id = "00000000-0000-4000-8000-000000000000"
    return re.sub(r"\{(\w+)\}", lambda name: values.get(name[1], some_id), path)


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_documents_have_the_address_of_the_request(name: str, tmp_path: Path) -> None:
    """In the server URL and in all examples. HEAD returns the same headers."""
    async with _role(name, tmp_path) as role, _client(role) as client:
        spec = (await client.get("/openapi.json")).json()
        page = await client.get("/docs")
        (head, length) = (await client.head("/docs"), page.headers["content-length"])

    assert [server["url"] for server in spec.pop("servers")] == ["http://shop.example:9999", "/"]
    assert spec == DOCUMENTS[name]()
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert (head.status_code, head.headers["content-length"]) == (200, length)
    for path, item in spec["paths"].items():
        for method in item:
            assert f"<code>{method.upper()} {path}</code>" in page.text
    commands = re.findall(r"<pre>curl (?:-\S+ (?:[A-Z]+ )?)*&?#?x?2?7?;?(\S+)", page.text)
    assert len(commands) == sum(map(len, spec["paths"].values()))
    assert {command[:24] for command in commands} == {"http://shop.example:9999"}
    assert "8080" not in page.text
    assert not re.search(r"<(script|link|img|iframe)|url\(|@import", page.text)
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_the_anchors_of_the_page_are_unique() -> None:
    """And the targets of all links exist."""
    page = http_docs.page(DOCUMENTS["up"](), {"headers": []}).decode()
    anchors = re.findall(r'id="([^"]+)"', page)

    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(anchors)


def test_the_webhooks_are_described() -> None:
    """With the responses of a receiver."""
    (item,) = DOCUMENTS["up"]()["webhooks"].values()

    assert item["post"]["responses"].keys() == {"2XX", "410", "default"}
