"""Both HTTP roles in one application."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from headrace.roles.web import Web, document
from producer_api.http.openapi import document as api_document
from producer_api.http.scripts import SCRIPT_PATHS
from query_api.live_store import LiveStore
from schemas.reject_reasons import RejectReason
from tests.component.producer_api.conftest import new_api
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.component.query_api.conftest import FakeReader, new_query
from tests.component.query_api.fake_service import FakeService

EVENT = {"type": "pageview", "site_id": "shop", "session_id": "s"}


@pytest.fixture
async def client(tmp_path: Path) -> httpx.AsyncClient:
    """Return a client of both roles, without a database."""
    api = new_api(FakeKafka())
    query = new_query(f"sqlite:///{tmp_path}/none.db", FakeReader(LiveStore(int)), FakeService())
    transport = httpx.ASGITransport(Web(api, query))
    await api.start()
    await query.start()
    return httpx.AsyncClient(transport=transport, base_url="http://headrace")


async def test_each_path_is_answered_by_its_role(client: httpx.AsyncClient) -> None:
    """Event paths and scripts by `api`, all others by `query`."""
    origin = {"origin": "https://shop.example"}
    accepted = await client.post("/api/event", json=EVENT, headers=origin)
    page = await client.get("/")
    live = await client.get("/api/sites/shop/live", headers=origin)
    health = [await client.get(path) for path in ("/healthz", "/readyz", "/metrics", "/docs")]
    scripts = [await client.get(path) for path in SCRIPT_PATHS]
    nowhere = await client.get("/nowhere")

    assert accepted.status_code == 202
    assert "access-control-allow-origin" in accepted.headers
    assert page.headers["content-type"].startswith("text/html")
    assert (live.status_code, live.json()["code"]) == (401, "unauthorized")
    assert "access-control-allow-origin" not in live.headers
    assert [answer.status_code for answer in health] == [200] * 4
    assert [answer.headers["content-type"] for answer in scripts] == [
        "text/javascript; charset=utf-8"
    ] * len(SCRIPT_PATHS)
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, RejectReason.NOT_FOUND.code)


async def test_the_fast_path_is_used(tmp_path: Path) -> None:
    """Without it, requests to `headrace up` would cost twice as much."""
    api = new_api(FakeKafka())
    query = new_query(f"sqlite:///{tmp_path}/none.db", FakeReader(LiveStore(int)), FakeService())

    assert Web(api, query).intake is api.intake


def test_the_role_api_alone_does_not_import_fastapi() -> None:
    """The import takes a third of a second and 13 MB."""
    modules = "headrace.roles.api, producer_api.http.server"
    code = f"import sys, {modules}; sys.exit('fastapi' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_openapi_has_the_paths_of_both(client: httpx.AsyncClient) -> None:
    """And all schemas that they refer to."""
    spec = (await client.get("/openapi.json")).json()

    assert spec.pop("servers")[0]["url"] == "http://headrace"
    assert spec == document()
    assert api_document()["paths"].items() <= spec["paths"].items()
    assert "get" in spec["paths"]["/api/sites/{site_id}/live"]
    assert {"Error", "Event", "Live", "Alert"} <= spec["components"]["schemas"].keys()
    assert (await client.post("/openapi.json")).status_code == 405
