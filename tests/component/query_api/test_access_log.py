import logging

import pytest

from query_api.app import create_query
from schemas.settings import DatabaseSettings, Settings
from tests.component.query_api.conftest import Role, Watching
from tests.fixtures.waiting import eventually_async
from tests.unit.query_api.test_live import partial

NAME = "query_api.access_log"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Return the log from here on."""
    caplog.set_level(logging.WARNING)  # the client of the tests logs URLs, too
    caplog.set_level(logging.INFO, "query_api")
    return caplog


def _lines(log: pytest.LogCaptureFixture) -> list[str]:
    """Return the lines without the duration."""
    lines = [record.getMessage() for record in log.records if record.name == NAME]
    return [line.rpartition(", ")[0] or line for line in lines]


async def test_each_request_is_a_line(role: Role, log: pytest.LogCaptureFixture) -> None:
    """With status and error code, except health checks, metrics and files of the page."""
    async with role.client(await role.token("shop")) as client:
        await client.get("/api/sites/shop/live?latest=1")
        await client.get("/api/sites/blog/live")
        await client.post("/api/subscriptions", content=b"{")
        await client.get("/nowhere%0d%0aFAKE 200")
        await client.get("/")
        for path in ("/healthz", "/readyz", "/metrics", "/page/live.js"):
            await client.get(path)

    assert _lines(log) == [
        "GET /api/sites/shop/live 200",
        "GET /api/sites/blog/live 403 forbidden",
        "POST /api/subscriptions 400 invalid_json",
        "GET /nowhere%0D%0AFAKE%20200 404 not_found",
        "GET / 200",
    ]


async def test_no_token_is_logged(role: Role, log: pytest.LogCaptureFixture) -> None:
    """Wherever it is in the request, valid or not; nor is the client's address."""
    token = await role.token("shop")
    async with role.client() as client:
        for address in (
            f"/?access_token={token}&site=shop",
            f"/api/sites?access_token={token}",
            f"/api/sites?_=1&access_token={token}x",
            f"/{token}",
            f"/%3Faccess_token={token}",
            f"/api/sites/{token}/live",
            f"//{token}//?access_token={token}",
        ):
            await client.get(f"http://headrace{address}")
        await client.get("/api/sites", headers={"authorization": f"Bearer {token}"})
        await client.get("/api/sites", headers={"cookie": f"headrace_token={token}"})

    assert len(_lines(log)) == 9
    assert token[3:] not in log.text
    assert "127.0.0.1" not in log.text


async def test_start_and_end_of_a_stream_are_logged(
    role: Role, log: pytest.LogCaptureFixture
) -> None:
    """Because it may be open for days."""
    role.put(partial(sessions=1))
    watching = Watching(role.query, "/api/sites/shop/live/stream", await role.token("shop"))
    await eventually_async(lambda: watching.events("live"), within_seconds=10, what="it is open")
    assert _lines(log) == ["GET /api/sites/shop/live/stream 200"]
    watching.disconnect()
    await watching.task

    assert "GET /api/sites/shop/live/stream ended after " in _lines(log)[1]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////data/head%20race.db", "it reads sqlite:////data/head%20race.db, Kafka "),
        ("postgresql://me:secret@db:5432/shop", "db:5432/shop, Kafka "),
        ("postgresql://me:secret@db/shop?sslmode=require", "@db:5432/shop, Kafka "),
        ("postgresql://me:sec%40secret@db/shop", "@db:5432/shop, Kafka "),
        ("postgresql://db/shop?user=me&password=a%40secret", "@db:5432/shop, Kafka "),
    ],
)
def test_the_database_is_logged_without_a_password(url: str, shown: str) -> None:
    """At start, with the URLs of the page and the API."""
    query = create_query(Settings(database=DatabaseSettings(url=url)))

    (line,) = query.describe("http://127.0.0.1:9")

    assert line.startswith("The dashboard is at http://127.0.0.1:9/, the API at http://127.0.0.1:9")
    assert shown in line
    assert "secret" not in line


async def test_the_sites_are_logged_at_start(role: Role, log: pytest.LogCaptureFixture) -> None:
    """So that a wrong database is noticed."""
    await eventually_async(
        lambda: "Sites with visits: none yet" in log.text, within_seconds=10, what="it is logged"
    )
