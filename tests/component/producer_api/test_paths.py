import re

import httpx
import pytest

from producer_api.http.create_app import create_app
from schemas.settings import ApiSettings, Settings
from tests.component.producer_api.conftest import client_of
from tests.component.producer_api.fake_kafka import FakeKafka

ORIGIN = "https://shop.example"
ALLOWED = "access-control-allow-origin"


@pytest.mark.parametrize("path", ["/api/event", "/api/events"])
async def test_a_preflight_allows_the_requested_headers(
    client: httpx.AsyncClient, path: str
) -> None:
    """For a day, with credentials, for the request's origin."""
    response = await client.options(
        path,
        headers={
            "origin": ORIGIN,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,x-mine",
        },
    )

    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["access-control-allow-credentials"] == "true"
    assert "POST" in response.headers["access-control-allow-methods"]
    assert response.headers["access-control-allow-headers"] == "content-type,x-mine"
    assert response.headers["access-control-max-age"] == "86400"


@pytest.mark.parametrize("path", ["/api/event", "/api/events"])
async def test_responses_have_cors_headers(client: httpx.AsyncClient, path: str) -> None:
    """Errors have them too, so that the page can read the reason."""
    response = await client.post(path, content="{", headers={"origin": ORIGIN})

    assert response.status_code == 400
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["access-control-allow-credentials"] == "true"


@pytest.mark.parametrize(
    "path",
    [
        "/api/event/",
        "//api/event",
        "/api//event",
        "///api///event///",
        "/api/event//",
        "/%61pi/event/",
        "/api/event/?n=1",
    ],
)
async def test_duplicate_and_trailing_slashes_are_ignored(
    client: httpx.AsyncClient, path: str
) -> None:
    """For both paths, valid and invalid events, other methods and preflights."""
    event = {"type": "copy", "site_id": "shop", "session_id": "s"}
    origin = {"origin": ORIGIN}
    for single, batch in ((event, [event]), ({}, [])):
        for name, body, variant in (("event", single, path), ("events", batch, _batch_path(path))):
            expected = await client.post(f"/api/{name}", json=body, headers=origin)
            response = await client.post(f"http://headrace{variant}", json=body, headers=origin)
            assert response.status_code == expected.status_code
            assert response.headers == expected.headers
    preflight = await client.options(f"http://headrace{path}", headers=origin)
    rejected = await client.put(f"http://headrace{path}", headers=origin)

    assert preflight.status_code == 204
    assert (rejected.status_code, rejected.headers["allow"]) == (405, "POST, OPTIONS")
    assert {preflight.headers[ALLOWED], rejected.headers[ALLOWED]} == {ORIGIN}


def _batch_path(path: str) -> str:
    return path.replace("event", "events")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/event", b"{", 400),
        ("POST", "/api/events/", b"[]", 400),
        ("POST", "/api/event/1", b"{}", 404),
        ("OPTIONS", "/api/events/x", b"", 404),
        ("GET", "//api/event", b"", 405),
        ("PUT", "/api/events", b"[]", 405),
        ("POST", "/api/event", b" " * 70_000, 413),
        ("POST", "/api//events", None, 415),
    ],
)
async def test_every_error_has_cors_headers(
    client: httpx.AsyncClient, method: str, path: str, body: bytes | None, status: int
) -> None:
    """Otherwise the browser would report a CORS error instead of the reason."""
    headers = {"origin": ORIGIN, **({"content-encoding": "br"} if body is None else {})}
    address = f"http://headrace{path}"
    response = await client.request(method, address, content=body or b"", headers=headers)

    assert (response.status_code, response.headers[ALLOWED]) == (status, ORIGIN)
    assert response.headers["vary"] == "origin"


async def test_other_paths_have_no_cors_headers(client: httpx.AsyncClient) -> None:
    """They are not for pages of other origins."""
    responses = [
        await client.get(path, headers={"origin": ORIGIN})
        for path in ("/healthz", "/metrics", "/nothing", "/api/eventful", "/api")
    ]

    assert not any("access-control-allow-origin" in response.headers for response in responses)


async def test_an_origin_with_control_characters_is_not_echoed(client: httpx.AsyncClient) -> None:
    """It would corrupt the response."""
    response = await client.post("/api/event", content="{", headers={b"origin": b"a\x01b"})

    assert response.status_code == 400
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/event", "POST, OPTIONS"),
        ("DELETE", "/api/events", "POST, OPTIONS"),
        ("HEAD", "/api/event", "POST, OPTIONS"),
        ("POST", "/healthz", "GET, HEAD"),
        ("PUT", "/metrics", "GET, HEAD"),
    ],
)
async def test_other_methods_are_405(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    """The `Allow` header lists the others."""
    response = await client.request(method, path)

    assert response.status_code == 405
    assert response.headers["allow"] == allowed
    assert method == "HEAD" or response.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/event/1", "/api/Event", "/api/event.", "/x" + "y" * 5000]
)
async def test_other_paths_are_404(client: httpx.AsyncClient, path: str) -> None:
    """The response is short, however long the path is."""
    response = await client.post(path, content=b"{}")

    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert len(response.content) < 300


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/", "//healthz"]
)
async def test_pages_answer_get_and_head(client: httpx.AsyncClient, path: str) -> None:
    """HEAD returns the same content type."""
    address = f"http://headrace{path}"
    (get, head) = (await client.get(address), await client.head(address))

    assert (get.status_code, head.status_code) == (200, 200)
    assert head.headers["content-type"] == get.headers["content-type"]


async def test_readiness_follows_kafka(client: httpx.AsyncClient, fake: FakeKafka) -> None:
    """`/readyz` returns the problem; `/healthz` stays 200."""
    fake.problem = "Kafka is gone; start it"

    ready = await client.get("/readyz")

    assert (ready.status_code, ready.json()["error"]) == (503, "Kafka is gone; start it")
    assert (await client.get("/healthz")).status_code == 200


async def test_readiness_includes_the_other_roles() -> None:
    """Under `up`, all roles must be ready."""
    problems = ["the role streams has not started"]
    api = create_app(
        Settings(api=ApiSettings(sites="open")),
        connection=FakeKafka(),
        ready_checks=[lambda: problems[0] if problems else None],
    )
    await api.start()
    async with client_of(api) as client:
        before = await client.get("/readyz")
        problems.clear()
        after = await client.get("/readyz")

    assert (before.status_code, before.json()["error"]) == (503, "the role streams has not started")
    assert after.status_code == 200


async def test_the_documentation_loads_no_other_resources(client: httpx.AsyncClient) -> None:
    """Neither scripts nor styles; its Content-Security-Policy forbids them."""
    page = await client.get("/docs")

    assert not re.search(r"<(script|link|img|iframe)|url\(|@import", page.text)
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_the_lifespan_starts_and_stops_the_role(fake: FakeKafka) -> None:
    """By the messages of the ASGI lifespan protocol."""
    api = create_app(Settings(api=ApiSettings(sites="open")), connection=fake)
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent = []

    async def receive() -> dict[str, str]:
        return next(messages)

    async def send(message: dict[str, str]) -> None:
        sent.append(message["type"])

    await api({"type": "lifespan"}, receive, send)

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
