"""A server that the internet reaches: cookies behind TLS, and what is not public."""

import httpx
import pytest

from schemas.trusted_proxies import TrustedProxies
from tests.component.query_api.conftest import Role

PUBLIC, PRIVATE, PROXY = "8.8.8.8", "192.168.1.2", "10.0.0.1"
TLS = {"x-forwarded-for": PUBLIC, "x-forwarded-proto": "https"}


def client_at(role: Role, peer: str, **headers: str) -> httpx.AsyncClient:
    """Return a client with an address, behind the proxy if it is that of the proxy."""
    proxies = TrustedProxies((PROXY,))
    role.query.proxies = role.query.operations.proxies = proxies
    transport = httpx.ASGITransport(role.query, client=(peer, 4711))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.AsyncClient(transport=transport, base_url="http://headrace", headers=named)


async def test_a_cookie_behind_tls_is_secure_and_of_this_host_only(role: Role) -> None:
    """A trusted proxy says that the client uses TLS; the page then works with this cookie."""
    token = await role.token("shop")
    async with client_at(role, PROXY) as client:
        kept = await client.post("/page/token", json={"token": token}, headers=TLS)
        cookie = kept.headers["set-cookie"]
        sent = {"cookie": cookie.partition(";")[0]}
        client.cookies.clear()
        with_tls = await client.get("/api/sites", headers={**TLS, **sent})
        without = await client.get("/api/sites", headers=sent)

    assert cookie.startswith("__Host-headrace_token=")
    assert {"secure", "httponly", "path=/", "samesite=strict"} <= set(cookie.lower().split("; "))
    assert "domain" not in cookie.lower()
    assert (with_tls.status_code, without.status_code) == (200, 401)


async def test_others_cannot_claim_tls(role: Role) -> None:
    """Without a trusted proxy, the cookie would never be sent back."""
    async with client_at(role, PUBLIC) as client:
        kept = await client.post(
            "/page/token", json={"token": await role.token("shop")}, headers=TLS
        )

    assert kept.headers["set-cookie"].startswith("headrace_token=")
    assert "secure" not in kept.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    ("peer", "headers", "is_private"),
    [
        ("127.0.0.1", {}, True),
        (PRIVATE, {}, True),
        (PROXY, {}, True),
        (PROXY, {"x-forwarded-for": PRIVATE}, True),
        (PROXY, {"x-forwarded-for": PUBLIC}, False),
        ("127.0.0.1", {"x-forwarded-for": PRIVATE}, False),
        (PUBLIC, {}, False),
        (PUBLIC, {"x-forwarded-for": "127.0.0.1"}, False),
    ],
)
async def test_metrics_and_the_reason_of_readiness_are_not_public(
    role: Role, peer: str, headers: dict[str, str], is_private: bool
) -> None:
    """They are for private addresses, or with a token of all sites; a proxy must be configured."""
    role.reader.problem = "Kafka is gone; start it"
    async with client_at(role, peer) as client:
        metrics = await client.get("/metrics", headers=headers)
        ready = await client.get("/readyz", headers=headers)
        of_site = {**headers, "authorization": f"Bearer {await role.token('shop')}"}
        of_all = {**headers, "authorization": f"Bearer {await role.read_token()}"}
        allowed = [
            (await client.get("/metrics", headers=tokens)).status_code
            for tokens in (of_site, of_all)
        ]

    assert metrics.status_code == (200 if is_private else 403)
    assert ready.status_code == 503
    assert (ready.json()["error"] == role.reader.problem) is is_private
    assert allowed == [200 if is_private else 403, 200]


async def test_all_tokens_of_a_site_share_a_limit_of_streams(role: Role) -> None:
    """Other sites are not affected, and a closed stream makes place for another."""
    streams = role.query.streams
    streams.max_per_site = 2
    with streams.admit("one", "shop"), streams.admit("two", "shop"):
        with pytest.raises(Exception, match="This site has 2 open streams"):
            streams.admit("three", "shop").__enter__()
        with streams.admit("three", "blog"):
            pass
    with streams.admit("three", "shop"):
        pass
