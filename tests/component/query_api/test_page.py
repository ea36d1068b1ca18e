import json
import re
from typing import Any

import pytest
from sqlalchemy import Connection

from query_api import tokens
from tests.component.query_api.conftest import Role


async def test_the_page_is_self_contained(role: Role) -> None:
    """It loads only its own files, and has no inline script or style."""
    async with role.client() as client:
        page = await client.get("/")
        files = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
        answers = [await client.get(f"/{file}") for file in files]
        modules = {name for a in answers for name in re.findall(r'from "\./([^"]*)"', a.text)}
        answers += [await client.get(f"/page/{name}") for name in modules]

    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert {answer.status_code for answer in answers} == {200}
    assert not re.search(r'(src|href)="(https?:)?//', page.text)
    assert "<style" not in page.text
    assert all("//" not in re.sub(r"http://www\.w3\.org|^\s*//.*$", "", a.text, flags=re.MULTILINE)
               for a in answers)  # fmt: skip


@pytest.mark.parametrize("name", ["none.js", "%00.js", "..%2fapp.py", "...", "x" * 300 + ".js"])
async def test_no_other_file_is_served(role: Role, name: str) -> None:
    """With 404, whether it exists or not."""
    async with role.client() as client:
        answer = await client.get(f"/page/{name}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_the_token_in_the_url_is_exchanged_for_a_cookie(role: Role) -> None:
    """HttpOnly and SameSite=Strict; the redirect removes the token from the URL."""
    token = await role.token("shop")
    async with role.client() as client:
        swapped = await client.get("/", params={"access_token": token})
        assert (swapped.status_code, swapped.headers["location"]) == (303, "/")
        cookie = swapped.headers["set-cookie"]
        assert {"httponly", "samesite=strict", "path=/"} <= set(cookie.lower().split("; "))
        answer = await client.get("/api/sites/shop/live")  # the client keeps cookies

    assert answer.status_code == 200
    assert token not in swapped.headers["location"]


async def test_servers_on_one_host_have_separate_cookies(role: Role) -> None:
    """Their names contain the port, because cookies are shared by all ports."""
    shop, till = "http://[::1]:8080", "http://[::1]:9090"
    async with role.client() as client:
        await client.get(shop, params={"access_token": await role.token("shop")})
        await client.get(till, params={"access_token": await role.token("till")})
        answers = [await client.get(f"{shop}/api/sites/{site}/live") for site in ("shop", "till")]
        answers += [await client.get(f"{till}/api/sites/{site}/live") for site in ("shop", "till")]

    assert [answer.status_code for answer in answers] == [200, 403, 403, 200]


async def test_an_unknown_token_gets_no_cookie(role: Role) -> None:
    """Nor can it inject a header."""
    async with role.client() as client:
        answer = await client.get("/", params={"access_token": "hr_x\r\nset-cookie: a=b"})

    assert answer.status_code == 303
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ("access_token=TOKEN", "/"),
        ("access_token=TOKEN&site=shop", "/?site=shop"),
        ("site=shop&access_token=TOKEN", "/?site=shop"),
        ("a=%2f%2F&access_token=TOKEN&b=x+y%20z&a=", "/?a=%2f%2F&b=x+y%20z&a="),
        ("access%5Ftoken=TOKEN&site=shop", "/?site=shop"),
        ("access_token=hr_other&site=a&access_token=TOKEN", "/?site=a"),
        ("access_token=TOKEN&", "/"),
        ("access_token=TOKEN&&site", "/?&site"),
        ("%F1%9A=%00&access_token=TOKEN&%ff%zz=%", "/?%F1%9A=%00&%ff%zz=%"),
        ("ä=ö&access_token=TOKEN", "/?ä=ö"),
        (
            "access_token=TOKEN&my_access_token=1&access_tokens=2",
            "/?my_access_token=1&access_tokens=2",
        ),
        ("access_token=TOKEN&next=//evil.example", "/?next=//evil.example"),
        ("access_token=TOKEN&site=%0d%0aset-cookie:a=b", "/?site=%0d%0aset-cookie:a=b"),
    ],
)
async def test_the_redirect_keeps_other_parameters(role: Role, query: str, location: str) -> None:
    """In order, byte for byte, whether the token is valid or not; and on this server."""
    token = await role.token("shop")
    for path in ("/", "//"):
        valid = await _raw_get(role, path, query.replace("TOKEN", token))
        unknown = await _raw_get(role, path, query.replace("TOKEN", "hr_wrong"))

        assert valid == location
        assert unknown == f"{location}#token-unknown"


async def _raw_get(role: Role, path: str, query: str) -> str:
    """Return the redirect of a request; httpx would normalize the URL."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": []}
    await role.query({**scope, "query_string": query.encode()}, None, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 303
    headers = dict(sent[0]["headers"])
    assert headers[b"referrer-policy"] == b"no-referrer"
    return str(headers[b"location"].decode())


async def test_the_redirect_reports_why_a_token_is_invalid(role: Role) -> None:
    """In the fragment, which browsers do not send; an empty token is ignored."""
    revoked = await _revoked(role)
    async with role.client() as client:
        answers = [
            await client.get("/", params={"access_token": token, "site": "shop"})
            for token in ("", "hr_x", revoked, "x" * 4000)
        ]

    fragments = [answer.headers["location"].removeprefix("/?site=shop") for answer in answers]
    assert fragments == ["", "#token-unknown", "#token-revoked", "#token-unknown"]


async def _revoked(role: Role) -> str:
    token = await role.token("shop")

    def revoke(connection: Connection) -> None:
        (listed,) = (one for one in tokens.list_tokens(connection) if one.grant.allows("shop"))
        assert tokens.revoke(connection, listed.token_id)

    await role.database.run(revoke)
    return token


async def test_missing_unknown_and_revoked_tokens_are_distinguished(role: Role) -> None:
    """By WWW-Authenticate as in RFC 6750, and by the message."""
    revoked = await _revoked(role)
    async with role.client() as client:
        answers = [
            await client.get("/api/sites", headers=headers)
            for headers in (
                {},
                {"authorization": "Bearer hr_x"},
                {"authorization": f"Bearer {revoked}"},
                {"cookie": f"headrace_token={revoked}"},
            )
        ]

    answered = [
        (a.headers["www-authenticate"], a.json()["error"].partition(";")[0]) for a in answers
    ]
    invalid = 'Bearer error="invalid_token"'
    assert answered == [
        ("Bearer", "A token is required: Authorization: Bearer <token>"),
        (invalid, "This token is unknown"),
        (invalid, "This token was revoked"),
        (invalid, "This token was revoked"),
    ]


async def test_the_token_form_sets_the_cookie(role: Role) -> None:
    """Like the URL; for an unknown token, it reports why not."""
    token = await role.token("shop")
    async with role.client() as client:
        wrong = await client.post("/page/token", json={"token": "hr_x"})
        missing = await client.post("/page/token", json={"token": ""})
        kept = await client.post("/page/token", json={"token": token})
        opened = await client.get("/api/sites/shop/live")

    assert [wrong.status_code, missing.status_code] == [401, 401]
    assert "invalid_token" in wrong.headers["www-authenticate"]
    assert not {"set-cookie"} & {*wrong.headers, *missing.headers}
    assert (kept.status_code, opened.status_code) == (204, 200)
    attributes = set(kept.headers["set-cookie"].lower().split("; "))
    assert {"httponly", "samesite=strict"} <= attributes


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{}", 400, "invalid_field"),
        (b'{"token": 1}', 400, "invalid_field"),
        (b"[]", 400, "not_an_object"),
        (b"token=hr_x", 400, "invalid_json"),
        (b'{"token": "\\ud800"}', 400, "invalid_json"),
        (b'{"token": "' + b"x" * 70_000 + b'"}', 413, "body_too_large"),
    ],
)
async def test_an_invalid_token_body_is_rejected(
    role: Role, content: bytes, status: int, code: str
) -> None:
    """Other methods are not allowed."""
    async with role.client() as client:
        answer = await client.post("/page/token", content=content)
        got = await client.get("/page/token")

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (got.status_code, got.headers["allow"]) == (405, "POST")


async def test_a_page_of_another_origin_cannot_set_the_token(role: Role) -> None:
    """It could otherwise make the page show the numbers of another site."""
    token = await role.token("shop")
    async with role.client() as client:
        answers = [
            await client.post(
                "/page/token", content=body, headers={"origin": "https://evil.example"}
            )
            for body in (json.dumps({"token": token}), "{")
        ]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {
        (403, "foreign_origin")
    }
    assert not any("set-cookie" in answer.headers for answer in answers)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 201),
        ("http://headrace", 201),
        ("http://headrace:3000", 403),
        ("null", 403),
        ("http://[", 403),
        ("", 403),
        ("headrace", 403),
        ("http://headrace/", 403),
    ],
)
async def test_a_cookie_does_not_authorize_changes_from_another_origin(
    role: Role, origin: str | None, status: int
) -> None:
    """Another port is another origin, but the same site for cookies."""
    headers = {"cookie": f"headrace_token={await role.token()}"}
    if origin is not None:
        headers["origin"] = origin
    body = {"site_id": "shop", "rule": "payment"}
    async with role.client() as client:
        answer = await client.post("/api/subscriptions", json=body, headers=headers)

    assert answer.status_code == status
