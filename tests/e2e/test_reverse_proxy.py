"""`headrace up` below a path of nginx with TLS, configured as docs/proxies.md says."""

import json
import re
import ssl
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from selenium.webdriver import Chrome

from headrace.local.broker.ports import free_port
from tests.e2e.page.live_page import LivePage
from tests.e2e.stack import Stack
from tests.fixtures import caddy, chromium, nginx
from tests.fixtures.markdown import ROOT, blocks
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(300)

HOST = "localhost"
SITE = "shop"


class Proxied(NamedTuple):
    """A stack below a path of nginx, by its URLs: nginx keeps the path, and removes it."""

    stack: Stack
    url: str
    removing: str
    trust: ssl.SSLContext

    def request(self, url: str, body: object = None, token: str = "") -> Any:
        """Return the JSON of a response; POST if there is a body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data)  # noqa: S310 - ours
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=15, context=self.trust) as response:  # noqa: S310
            return json.load(response)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """Yield a stack behind nginx."""
    folder, port, removing = tmp_path_factory.mktemp("proxied"), free_port(), free_port()
    url = f"https://{HOST}:{port}/headrace"
    settings = {
        "HEADRACE_API__TRUSTED_PROXIES": "127.0.0.1",
        "HEADRACE_API__ROOT_PATH": "/headrace",
        "HEADRACE_QUERY__PUBLIC_URL": url,
    }
    stack = Stack(folder / "data", settings)
    chain, key, trust = nginx.certificate(folder, HOST)
    documented = _documented(stack, port, chain, key)
    other = documented.replace(f"listen {port}", f"listen {removing}")
    other = other.replace(f"127.0.0.1:{stack.port};", f"127.0.0.1:{stack.port}/;")
    try:
        stack.start()
        with nginx.proxying(documented + other, port):
            yield Proxied(stack, url, f"https://{HOST}:{removing}/headrace", trust)
    finally:
        stack.end()


def _documented(stack: Stack, port: int, chain: Path, key: Path) -> str:
    """Return the configuration of the document for this machine."""
    (found,) = (block for block in blocks(ROOT / "docs/proxies.md") if block.language == "nginx")
    text = found.text
    for documented, here in (
        ("listen 443 ", f"listen {port} "),
        ("server_name example.com", f"server_name {HOST}"),
        ("/etc/ssl/example.com.pem", str(chain)),
        ("/etc/ssl/example.com.key", str(key)),
        ("127.0.0.1:8080;", f"127.0.0.1:{stack.port};"),
    ):
        assert documented in text
        text = text.replace(documented, here)
    return text


@pytest.fixture(scope="module")
def token(proxied: Proxied) -> str:
    """Return the token of the link that `up` prints."""
    (found,) = re.findall(r"access_token=(\S+)", proxied.stack.screen)
    return str(found)


@pytest.fixture
def chrome() -> Iterator[Chrome]:
    """Yield a browser that accepts the certificate."""
    with chromium.started(accept_insecure_certs=True) as started:
        yield started


def test_the_dashboard_works_below_the_path(proxied: Proxied, token: str, chrome: Chrome) -> None:
    """With its files, its streams, and a cookie that no other application of the host gets."""
    event = {"type": "pageview", "site_id": SITE, "session_id": "s1", "path": "/"}
    assert proxied.request(f"{proxied.url}/api/event", event)["status"] == "accepted"
    page = LivePage(chrome, proxied.stack)

    chrome.get(f"{proxied.url}/?site={SITE}&access_token={token}")

    eventually(lambda: page.text("#state") == "Live", within_seconds=60, what="it is live")
    eventually(lambda: page.text("#visitors") == "1", within_seconds=60, what="a visitor")
    assert chrome.current_url == f"{proxied.url}/?site={SITE}"
    (cookie,) = chrome.get_cookies()
    assert cookie["name"].startswith("__Secure-headrace_token_")
    assert (cookie["path"], cookie["secure"], cookie["httpOnly"]) == ("/headrace/", True, True)
    script = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    loaded = chrome.execute_script(script)
    assert loaded
    assert [url for url in loaded if not url.startswith(f"{proxied.url}/")] == []
    assert page.console() == []


@pytest.mark.parametrize("removes", [False, True])
def test_programs_use_the_address_of_the_proxy(
    proxied: Proxied, token: str, *, removes: bool
) -> None:
    """For events, lists and the OpenAPI document, whether nginx keeps or removes the path."""
    url = proxied.removing if removes else proxied.url
    payment = {"type": "payment", "session_id": "s1", "amount": 5, "currency": "EUR"}
    site = f"shop-{removes}"
    proxied.request(f"{url}/api/event", {**payment, "site_id": site})
    proxied.request(f"{url}/api/events", [{**payment, "site_id": site}])

    def alerts() -> list[dict[str, Any]]:
        listed = proxied.request(f"{url}/api/sites/{site}/alerts", token=token)
        return list(listed["items"])

    eventually(lambda: len(alerts()) == 2, within_seconds=60, what="the payments raise alerts")
    servers = proxied.request(f"{url}/openapi.json")["servers"]

    links = {alert["details"]["dashboard_url"] for alert in alerts()}
    assert links == {f"{proxied.url}/?site={site}"}
    assert [server["url"] for server in servers] == [url, "/headrace"]


def test_the_proxy_of_the_compose_file_forwards_streams_at_once(
    proxied: Proxied, token: str, tmp_path: Path
) -> None:
    """Although it compresses; and browsers use TLS from then on."""
    event = {"type": "pageview", "site_id": "caddy", "session_id": "s1", "path": "/"}
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "gzip"}
    with caddy.proxying(f"127.0.0.1:{proxied.stack.port}", tmp_path) as (url, trust):
        behind = proxied._replace(trust=trust)
        assert behind.request(f"{url}/api/event", event)["status"] == "accepted"
        request = urllib.request.Request(f"{url}/api/sites/caddy/live/stream", headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=15, context=trust) as stream:  # noqa: S310
            decompress = zlib.decompressobj(zlib.MAX_WBITS | 32)
            is_compressed = stream.headers["content-encoding"] == "gzip"
            first = stream.read1(64 * 1024)
            text = decompress.decompress(first) if is_compressed else first
            assert stream.headers["strict-transport-security"]

    assert b"event: live" in text or b"retry:" in text
