from functools import partial as partial_of
from pathlib import Path

import httpx
import pytest

from query_api import auth, queries, tokens
from query_api.headers import sanitize_headers
from query_api.live_store import LiveStore
from tests.component.query_api.conftest import FakeReader, Role, new_query
from tests.component.query_api.fake_service import FakeService
from tests.unit.query_api.test_live import partial

SITE_PATHS = ["live", "live/stream", "alerts", "alerts/stream", "sessions", "pages"]
ONE = "/api/subscriptions/00000000-0000-4000-8000-000000000000"
ALL_PATHS = [
    "/api/sites",
    *(f"/api/sites/shop/{path}" for path in SITE_PATHS),
    "/api/subscriptions",
    ONE,
]


@pytest.mark.parametrize("path", ALL_PATHS)
async def test_a_token_is_required(role: Role, path: str) -> None:
    """An unknown token is rejected, wherever it is sent; CORS is not allowed."""
    origin = {"origin": "https://evil.example"}
    async with role.client() as client:
        answers = [
            await client.get(path, headers=origin),
            await client.get(path, headers={"authorization": "Bearer hr_wrong"}),
            await client.get(path, headers={"authorization": "Basic aHI6eA=="}),
            await client.get(path, params={"access_token": "hr_wrong\0"}),
            await client.get(path, headers={"cookie": 'headrace_token="; headrace_token'}),
        ]

    assert {answer.status_code for answer in answers} == {401}
    assert {answer.json()["code"] for answer in answers} == {"unauthorized"}
    assert answers[0].headers["www-authenticate"] == "Bearer"
    assert not any("access-control-allow-origin" in answer.headers for answer in answers)


@pytest.mark.parametrize("path", SITE_PATHS)
async def test_the_token_of_another_site_is_rejected(role: Role, path: str) -> None:
    """With 403, whether the site exists or not."""
    async with role.client(await role.token("blog", "docs")) as client:
        answer = await client.get(f"/api/sites/shop/{path}")

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_token_is_accepted_in_header_query_and_cookie(role: Role) -> None:
    """Each of the three is sufficient."""
    token = await role.token("shop")
    async with role.client() as client:
        by_header = await client.get(
            "/api/sites/shop/live", headers={"authorization": f"bearer {token}"}
        )
        by_address = await client.get(f"/api/sites/shop/live?access_token={token}")
        by_cookie = await client.get(
            "/api/sites/shop/live", headers={"cookie": f"a=b; headrace_token={token}"}
        )

    assert [by_header.status_code, by_address.status_code, by_cookie.status_code] == [200] * 3


async def test_live_counters_are_returned(role: Role) -> None:
    """All counters of an unknown site are zero; an invalid site_id is rejected."""
    role.put(partial(sessions=3))
    async with role.client(await role.token()) as client:
        known = await client.get("/api/sites/shop/live")
        unknown = await client.get("/api/sites/nobody/live")
        wrong = await client.get("/api/sites/no%20site/live")

    assert known.json()["sessions_now"] == 3
    assert known.headers["cache-control"] == "no-store"
    assert unknown.json()["visitors_now"] == 0
    assert (wrong.status_code, wrong.json()["field"]) == (400, "site_id")


async def test_lists_are_paginated(role: Role) -> None:
    """By the cursor of the previous page."""
    for offset in range(3):
        await role.alert(offset)
    async with role.client(await role.token("shop")) as client:
        first = (await client.get("/api/sites/shop/alerts?limit=2")).json()
        cursor = first["next_cursor"]
        second = (await client.get(f"/api/sites/shop/alerts?limit=2&cursor={cursor}")).json()

    titles = [alert["title"] for alert in first["items"] + second["items"]]
    assert titles == ["Payment 2", "Payment 1", "Payment 0"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=1001", "limit"),
        ("cursor=x", "cursor"),
        ("from=never", "from"),
        ("rule='; DROP TABLE alerts", "rule"),
        ("sort=title", "sort"),
    ],
)
async def test_an_invalid_parameter_is_reported(role: Role, query: str, field: str) -> None:
    """With 400 and its name."""
    async with role.client(await role.token()) as client:
        answer = await client.get(f"/api/sites/shop/alerts?{query}")

    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert answer.json()["code"] == "bad_parameter"


@pytest.mark.parametrize(
    ("path", "field", "known"),
    [
        ("alerts?rule=payments", "rule", "payment, error.new, error.rate"),
        ("alerts?rule=", "rule", "payment, error.new, error.rate"),
        ("sessions?state=ended", "state", "open, closed, withdrawn"),
    ],
)
async def test_a_filter_with_an_unknown_value_is_rejected(
    role: Role, path: str, field: str, known: str
) -> None:
    """A misspelt value would return an empty list."""
    async with role.client(await role.token()) as client:
        answer = await client.get(f"/api/sites/shop/{path}")

    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert f"{field} must be one of: {known}; it is " in answer.json()["error"]


async def test_alerts_are_filtered_by_rule(role: Role) -> None:
    """A rule without alerts returns an empty list."""
    await role.alert(0)
    async with role.client(await role.token()) as client:
        payments = (await client.get("/api/sites/shop/alerts?rule=payment")).json()["items"]
        errors = await client.get("/api/sites/shop/alerts?rule=error.new")

    assert [alert["title"] for alert in payments] == ["Payment 0"]
    assert (errors.status_code, errors.json()["items"]) == (200, [])


async def test_unknown_paths_and_methods_are_rejected(role: Role) -> None:
    """With 404, and 405 with the allowed methods."""
    async with role.client(await role.token()) as client:
        nowhere = await client.get("/api/nowhere")
        posted = await client.post("/api/sites/shop/live")
        deleted = await client.delete("/")
        many = await client.get("/api/sites?" + "&".join(f"p{n}=1" for n in range(60)))

    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
    assert nowhere.json()["error"].endswith("; the paths are documented at /docs")
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")
    assert (deleted.status_code, deleted.headers["allow"]) == (405, "GET, HEAD")
    assert many.status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/subscriptions", "GET, HEAD, POST"),
        ("POST", ONE, "DELETE, GET, HEAD, PATCH"),
        ("POST", "/healthz", "GET, HEAD"),
        ("HEAD", f"{ONE}/test", "POST"),
        ("OPTIONS", "/api/sites", "GET, HEAD, POST"),
        ("TRACE", "/page/live.js", "GET, HEAD"),
    ],
)
async def test_allow_lists_all_methods_of_a_path(
    role: Role, method: str, path: str, allowed: str
) -> None:
    """Without a token, too."""
    async with role.client() as client:
        answer = await client.request(method, path)

    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert method == "HEAD" or f"supports {allowed}, not {method}" in answer.json()["error"]


async def test_an_exception_is_logged_and_reported(
    role: Role, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With 500; details are only in the log."""

    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(queries, "sessions", fail)
    async with role.client(await role.token("shop")) as client:
        answer = await client.get("/api/sites/shop/sessions")

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret detail" not in answer.text
    assert "secret detail" in caplog.text


async def test_a_revoked_token_stops_within_seconds(
    role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as its cache entry expires."""
    token = await role.token("shop")
    async with role.client(token) as client:
        assert (await client.get("/api/sites/shop/live")).status_code == 200
        for listed in await role.database.run(tokens.list_tokens):
            await role.database.run(partial_of(tokens.revoke, token_id=listed.token_id))
        monkeypatch.setattr(auth, "CACHE_SECONDS", 0.0)

        assert (await client.get("/api/sites/shop/live")).status_code == 401


async def test_the_sites_of_a_token_are_listed(role: Role) -> None:
    """For a token of all sites, those with live counters or visits."""
    role.put(partial(sessions=1))
    async with role.client(await role.token("b", "a")) as client:
        own = (await client.get("/api/sites")).json()["items"]
    async with role.client(await role.token()) as client:
        known = (await client.get("/api/sites")).json()["items"]

    assert own == [{"site_id": "a"}, {"site_id": "b"}]
    assert known == [{"site_id": "shop"}]


async def test_all_sites_are_listed_page_by_page(role: Role) -> None:
    """Ordered by name, so a flood of invented sites cannot hide others."""
    for number in range(250):
        role.put(partial(site_id=f"0-{number:03}", sessions=1))
    role.put(partial(sessions=1))
    found: list[str] = []
    async with role.client(await role.token()) as client:
        url = "/api/sites"
        while True:
            page = (await client.get(url)).json()
            found += [item["site_id"] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            url = f"/api/sites?cursor={page['next_cursor']}"
    async with role.client(await role.token(*found[:3])) as client:
        own = (await client.get("/api/sites?limit=2")).json()

    assert found == [*(f"0-{number:03}" for number in range(250)), "shop"]
    assert [item["site_id"] for item in own["items"]] == found[:2]
    assert own["next_cursor"]


async def test_a_missing_database_is_reported(tmp_path: Path) -> None:
    """With 503 and what to do; the page works without a database."""
    query = new_query(f"sqlite:///{tmp_path}/none.db", FakeReader(LiveStore(int)), FakeService())
    await query.start()
    transport = httpx.ASGITransport(query)
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as client:
        answer = await client.get("/api/sites", params={"access_token": "hr_x"})
        page = await client.get("/")
    await query.stop()

    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert "headrace db upgrade" in answer.json()["error"]
    assert answer.headers["retry-after"] == "1"
    assert page.status_code == 200


async def test_metrics_contain_no_client_input(role: Role) -> None:
    """Labels are route templates."""
    async with role.client(await role.token()) as client:
        await client.get("/api/sites/secret-site/live")
        await client.get("/wp-admin.php")
        metrics = (await client.get("/metrics")).text

    assert 'route="/api/sites/{site_id}/live",status="200"' in metrics
    assert 'route="none",status="404"' in metrics
    assert "secret" not in metrics
    assert "wp-admin" not in metrics


async def test_it_is_ready_when_live_counters_are_loaded(role: Role) -> None:
    """Else `/readyz` reports the problem."""
    async with role.client() as client:
        assert (await client.get("/readyz")).status_code == 200
        role.reader.problem = "Kafka is not reached yet"
        answer = await client.get("/readyz")
        assert (await client.get("/healthz")).status_code == 200

    assert (answer.status_code, answer.json()["error"]) == (503, "Kafka is not reached yet")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/subscriptions"),
        ("PATCH", ONE),
        ("DELETE", ONE),
        ("POST", f"{ONE}/test"),
        ("POST", f"{ONE}/deliveries/00000000-0000-4000-8000-000000000000/resend"),
    ],
)
async def test_a_change_requires_the_scope_manage(role: Role, method: str, path: str) -> None:
    """Else 403 with the command that creates such a token, whether the id exists or not."""
    async with role.client(await role.read_token("shop")) as client:
        answer = await client.request(method, path, json={"site_id": "shop"})

    assert (answer.status_code, answer.json()["code"]) == (403, "manage_required")
    assert "headrace tokens create --manage" in answer.json()["error"]


@pytest.mark.parametrize("path", ALL_PATHS[:-1])
async def test_a_token_of_any_scope_can_read(role: Role, path: str) -> None:
    """Streams, too, which are requested with HEAD."""
    async with role.client(await role.read_token("shop")) as client:
        answer = await client.head(path)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/page/live.js", {"Range": "bytes=5-1"}, 200),
        ("/page/live.js", {"Range": "bytes=9999999-"}, 200),
        ("/api/sites%0A", {}, 404),
        ("/metrics%0A", {}, 404),
        ("/%0A", {}, 404),
    ],
)
async def test_ranges_and_trailing_line_feeds_are_not_supported(
    role: Role, path: str, headers: dict[str, str], status: int
) -> None:
    """A Range header is ignored; a path with a line feed is not found."""
    async with role.client(await role.token()) as client:
        answer = await client.get(path, headers=headers)

    assert answer.status_code == status
    assert "accept-ranges" not in answer.headers
    if status == 404:
        assert answer.json()["code"] == "not_found"


def test_backslashes_are_removed_from_cookies() -> None:
    """Unquoting 60,000 of them would block the event loop for seconds (CVE-2024-7592)."""
    headers = [(b"cookie", b'a="' + b"\\" * 60_000 + b'"; token=hr_x'), (b"accept", b"\\")]

    assert sanitize_headers(headers) == [(b"cookie", b'a=""; token=hr_x'), (b"accept", b"\\")]


async def test_operational_endpoints_are_counted_by_path(role: Role) -> None:
    """Not as unknown paths."""
    async with role.client() as client:
        await client.get("/healthz")
        metrics = (await client.get("/metrics")).text
    assert 'route="/healthz",status="200"' in metrics


async def test_an_exception_of_an_operational_endpoint_is_reported(
    role: Role, caplog: pytest.LogCaptureFixture
) -> None:
    """As 500 in the usual format, and in the log."""

    def fail() -> str | None:
        raise ZeroDivisionError

    role.query.operations.checks.append(fail)
    async with role.client() as client:
        answer = await client.get("/readyz")

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "/readyz failed" in caplog.text
