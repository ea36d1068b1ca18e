"""A server below a path of a TLS reverse proxy: https://example.com/headrace/."""

import re
from http.cookiejar import CookieJar
from urllib.parse import urljoin

import httpx
import pytest

from schemas.root_path import RootPath
from schemas.trusted_proxies import TrustedProxies
from tests.component.query_api.conftest import Role

PROXY = "10.0.0.1"
URL = "https://example.com/headrace"
FORWARDED = {"x-forwarded-proto": "https", "x-forwarded-for": "8.8.8.8"}


def client(
    role: Role, root_path: str, cookies: CookieJar | None = None, **headers: str
) -> httpx.AsyncClient:
    """Return a client behind a proxy that keeps the path of requests."""
    proxies = TrustedProxies((PROXY,))
    role.query.proxies = role.query.operations.proxies = proxies
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    app = RootPath(role.query, root_path, proxies)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, client=(PROXY, 4711)),
        headers={**FORWARDED, **named},
        cookies=cookies,
    )


@pytest.mark.parametrize("url", [URL, f"{URL}/"])
async def test_the_page_loads_its_files_below_the_root_path(role: Role, url: str) -> None:
    """With and without the trailing slash."""
    async with client(role, "/headrace") as http:
        page = await http.get(url)
        files = [urljoin(url, file) for file in re.findall(r'(?:src|href)="([^"#]+)"', page.text)]
        answers = [await http.get(file) for file in files]

    assert files
    assert all(file.startswith(f"{URL}/page/") for file in files)
    assert {answer.status_code for answer in answers} == {200}


async def test_the_cookie_is_of_the_root_path(role: Role) -> None:
    """The other applications of the host do not get the token, nor do those above or below."""
    token = await role.token("shop")
    async with client(role, "/headrace") as http:
        swapped = await http.get(f"{URL}/?site=shop&access_token={token}")
        opened = await http.get(f"{URL}/api/sites")
        entered = await http.post(
            f"{URL}/page/token", json={"token": token}, headers={"origin": "https://example.com"}
        )
        sent_above = http.build_request("GET", "https://example.com/other/").headers.get("cookie")

    assert (swapped.status_code, swapped.headers["location"]) == (303, "/headrace/?site=shop")
    cookie = swapped.headers["set-cookie"]
    assert cookie.startswith(f"__Secure-headrace_token_headrace={token};")
    attributes = set(cookie.lower().split("; "))
    assert {"path=/headrace/", "secure", "httponly", "samesite=strict"} <= attributes
    assert (opened.status_code, entered.status_code, sent_above) == (200, 204, None)


async def test_servers_below_each_other_have_separate_cookies(role: Role) -> None:
    """A request below /a/b has the cookies of /a and of /, too."""
    browser, sites = CookieJar(), {"": "one", "/a": "two", "/a/b": "three"}
    for path, site in sites.items():
        async with client(role, path, browser) as http:
            token = await role.token(site)
            await http.get(f"https://example.com{path}/", params={"access_token": token})
    statuses = []
    for path, site in sites.items():
        async with client(role, path, browser) as http:
            live = await http.get(f"https://example.com{path}/api/sites/{site}/live")
            statuses.append(live.status_code)

    assert statuses == [200, 200, 200]


async def test_the_openapi_document_and_its_page_have_the_root_path(role: Role) -> None:
    """Clients and examples use the address behind the proxy."""
    async with client(role, "/headrace") as http:
        document = (await http.get(f"{URL}/openapi.json")).json()
        page = await http.get(f"{URL}/docs")

    assert [server["url"] for server in document["servers"]] == [URL, "/headrace"]
    assert f"curl {URL}/api/sites" in page.text
    assert 'href="/headrace/openapi.json"' in page.text


async def test_the_host_may_be_that_of_a_forwarding_header(role: Role) -> None:
    """Some proxies replace the Host header; only a trusted one may name the client's host."""
    token = {"token": await role.token("shop")}
    origin = {"origin": "https://example.com"}
    async with client(role, "", host="headrace-query:8080") as http:
        answers = [
            await http.post("http://10.0.0.9/page/token", json=token, headers={**origin, **named})
            for named in (
                {"x-forwarded-host": "example.com"},
                {"x-forwarded-host": "evil.example"},
                {},
            )
        ]

    assert [answer.status_code for answer in answers] == [204, 403, 403]
    assert answers[0].headers["set-cookie"].startswith("__Host-headrace_token=")
