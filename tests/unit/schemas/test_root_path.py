"""The path below which a reverse proxy serves headrace."""

from typing import Any

import pytest

from producer_api.events.dialects.registry import DIALECTS
from producer_api.http.openapi import document as api_document
from query_api.openapi import document as query_document
from schemas.root_path import RESERVED, RootPath, parse_root_path, root_path_of
from schemas.trusted_proxies import TrustedProxies

PROXIES = TrustedProxies(("10.0.0.1",))


async def located(
    root_path: str, path: str, *prefixes: str, peer: str = "10.0.0.1"
) -> tuple[str, str]:
    """Return the root path and the path that the application sees."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    headers = [(b"x-forwarded-prefix", prefix.encode("latin-1")) for prefix in prefixes]
    scope = {"type": "http", "path": path, "headers": headers, "client": (peer, 4711)}
    await RootPath(app, root_path, PROXIES)(scope, None, None)
    return root_path_of(seen[0]), seen[0]["path"]


@pytest.mark.parametrize(
    ("path", "relative"),
    [
        ("/headrace/api/sites", "/api/sites"),
        ("/headrace/", "/"),
        ("/headrace", "/"),
        ("/api/sites", "/api/sites"),
        ("/", "/"),
        ("/headraces/api", "/headraces/api"),
        ("/headrace/headrace", "/headrace"),
    ],
)
async def test_a_proxy_may_keep_or_remove_the_root_path(path: str, relative: str) -> None:
    """Links begin with it in both cases, and health checks need not know it."""
    assert await located("/headrace", path) == ("/headrace", relative)


@pytest.mark.parametrize(
    ("prefixes", "root_path"),
    [
        (["/headrace"], "/headrace"),
        (["/headrace/"], "/headrace"),
        (["/a", "/b"], "/a/b"),
        (["/a, /b/"], "/a/b"),
        (["/api"], "/api"),
        (["/"], ""),
        (["//evil.example"], ""),
        (["https://evil.example"], ""),
        (["/.."], ""),
        (['/a"><script>'], ""),
        (["/a\r\nset-cookie: x"], ""),
        (["/gr\xfc\xdfe"], ""),
        ([], ""),
    ],
)
async def test_a_trusted_proxy_reports_the_prefix_that_it_removed(
    prefixes: list[str], root_path: str
) -> None:
    """The path stays; an invalid prefix is ignored, because it would become part of links."""
    assert await located("", "/api/event", *prefixes) == (root_path, "/api/event")


async def test_others_cannot_set_the_prefix() -> None:
    """Only a trusted proxy can, and only if no root path is configured."""
    assert await located("", "/", "/evil", peer="8.8.8.8") == ("", "/")
    assert await located("/headrace", "/", "/evil") == ("/headrace", "/")


@pytest.mark.parametrize(
    "path", ["/api", "/page/x", "/docs", "headrace", "/a//b", "/a b", "/..", "/a?b"]
)
def test_an_invalid_root_path_is_rejected(path: str) -> None:
    """The message says what is right, or which path headrace needs itself."""
    with pytest.raises(ValueError, match=r"must be a path such as /headrace|must not begin with"):
        parse_root_path(path)


def test_a_root_path_has_no_trailing_slash() -> None:
    """`/` is the root of the host."""
    paths = ("", "/", "/headrace/", "/tools/headrace")
    assert [parse_root_path(path) for path in paths] == ["", "", "/headrace", "/tools/headrace"]


def test_the_first_segment_of_each_path_is_reserved() -> None:
    """Otherwise a root path could hide it, also the endpoints of other systems' clients."""
    endpoints = {endpoint.path for dialect in DIALECTS for endpoint in dialect.endpoints}
    paths = {*api_document()["paths"], *query_document()["paths"], *endpoints}
    firsts = {path.split("/")[1] for path in paths if not path.startswith("/{")}
    assert firsts - {""} <= RESERVED
