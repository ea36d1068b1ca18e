import base64
import gzip
import hashlib

import httpx
import pytest

from producer_api.http.app import Api
from producer_api.tracker.scripts import NAMES, Script, load
from schemas.root_path import RootPath
from schemas.trusted_proxies import TrustedProxies

SCRIPTS = [load(name) for name in NAMES]
PATHS = [path for script in SCRIPTS for path in (script.path, script.versioned_path)]


@pytest.mark.parametrize("path", PATHS)
async def test_pages_of_any_site_can_load_a_script(client: httpx.AsyncClient, path: str) -> None:
    """Also with `crossorigin` and under COEP, and verify it."""
    response = await client.get(path)

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"
    digest = base64.b64encode(hashlib.sha384(response.content).digest()).decode()
    assert f"sha384-{digest}" in {script.integrity for script in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
async def test_a_versioned_script_never_changes(client: httpx.AsyncClient, script: Script) -> None:
    """The other response names it, relative to its own path."""
    current = await client.get(script.path)
    versioned = await client.get(f"/{current.headers['content-location']}")

    assert current.headers["cache-control"] == "public, max-age=3600"
    assert versioned.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert versioned.content == current.content == script.content


@pytest.mark.parametrize("path", PATHS)
async def test_an_unchanged_script_is_not_sent_again(client: httpx.AsyncClient, path: str) -> None:
    """Neither plain nor gzipped, which have different tags."""
    tags = []
    for accepted in ("identity", "gzip"):
        headers = {"accept-encoding": accepted}
        tag = (await client.get(path, headers=headers)).headers["etag"]
        for known in (tag, f'"other", W/{tag}', "*"):
            headers["if-none-match"] = known
            response = await client.get(path, headers=headers)
            assert (response.status_code, response.content) == (304, b"")
            assert response.headers["etag"] == tag
        headers["if-none-match"] = '"other"'
        assert (await client.get(path, headers=headers)).status_code == 200
        tags.append(tag)
    assert len(set(tags)) == 2


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br", "gzip"),
        ("br;q=1.0, gzip;q=0.8", "gzip"),
        ("*", "gzip"),
        ("br, GZIP", "gzip"),
        ("gzip;q=0", None),
        ("gzip; q=0.0, *", None),
        ("br", None),
        ("identity", None),
    ],
)
async def test_a_script_is_gzipped_if_the_client_accepts_it(
    client: httpx.AsyncClient, accepted: str, encoding: str | None
) -> None:
    """Caches keep both."""
    response = await client.get("/script.js", headers={"accept-encoding": accepted})

    assert response.headers.get("content-encoding") == encoding
    assert response.headers["vary"] == "accept-encoding"
    assert response.content == load().content


@pytest.mark.parametrize("name", NAMES)
async def test_another_version_names_the_current_one(client: httpx.AsyncClient, name: str) -> None:
    """The console of a page with `crossorigin` shows the status, instead of an error of CORS."""
    response = await client.get(f"/{name.removesuffix('.js')}.0123456789ab.js")

    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert f"current version, {load(name).versioned_path};" in response.json()["error"]
    assert response.headers["access-control-allow-origin"] == "*"


async def test_other_methods_are_rejected(client: httpx.AsyncClient) -> None:
    """With the errors of all paths; HEAD is allowed."""
    rejected = await client.post("/script.js")
    assert (rejected.status_code, rejected.headers["allow"]) == (405, "GET, HEAD")
    head = await client.head("/script.js", headers={"accept-encoding": "identity"})
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(load().content)))


@pytest.mark.parametrize("path", ["/stats/script.js", "/script.js"])
async def test_scripts_are_served_below_a_root_path(api: Api, path: str) -> None:
    """Whether the proxy keeps the path or removes it."""
    below = RootPath(api, "/stats", TrustedProxies())
    transport = httpx.ASGITransport(below)
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as client:
        assert (await client.get(path)).content == load().content


@pytest.mark.parametrize(("name", "limit"), [("script.js", 3_500), ("script.full.js", 6_500)])
def test_a_script_is_small(name: str, limit: int) -> None:
    """Bytes as sent."""
    assert len(gzip.compress(load(name).content, mtime=0)) < limit
