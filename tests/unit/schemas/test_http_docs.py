import pytest

from schemas.http_docs import base_of, openapi, page, served

DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "a & b", "description": "<b>"},
    "tags": [],
    "paths": {},
    "components": {"schemas": {}},
}


def _scope(scheme: str = "http", **headers: str) -> dict[str, object]:
    encoded = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return {"scheme": scheme, "headers": encoded}


@pytest.mark.parametrize(
    ("scope", "base"),
    [
        (_scope(host="127.0.0.1:8080"), "http://127.0.0.1:8080"),
        (_scope(host="[::1]:9090"), "http://[::1]:9090"),
        (_scope(host="[::1]"), "http://[::1]"),
        (_scope(host="events.shop.example"), "http://events.shop.example"),
        (_scope("https", host="shop.example:8443"), "https://shop.example:8443"),
        (_scope(host="a:1", x_forwarded_proto="https"), "https://a:1"),
        (_scope(host="a:1", x_forwarded_proto="HTTPS, http"), "https://a:1"),
        (_scope(host="a:1", x_forwarded_host="shop.example, b:2"), "http://shop.example"),
        (_scope(host="a:1", x_forwarded_proto="javascript"), ""),
        (_scope(), ""),
        (_scope(host=""), ""),
        (_scope(host="a b"), ""),
        (_scope(host="a/b"), ""),
        (_scope(host="a@b"), ""),
        (_scope(host='"><script>'), ""),
        (_scope(host="a:123456"), ""),
        (_scope(host="a:"), ""),
        (_scope(host="\xe4"), ""),
        (_scope(host="x" * 300), ""),
        (_scope(host="a:1", x_forwarded_host="'; rm"), ""),
    ],
)
def test_the_base_url_is_that_of_the_request(scope: dict[str, object], base: str) -> None:
    """Or of the headers of a proxy; invalid hosts are ignored."""
    assert base_of(scope) == base


def test_without_a_base_url_the_server_is_the_origin_of_the_document() -> None:
    """The document itself is not changed."""
    assert [server["url"] for server in served(DOCUMENT, "")["servers"]] == ["/"]
    assert b'"servers": [{"url": "/"' in openapi(DOCUMENT, _scope(host="<"))
    assert "servers" not in DOCUMENT


def test_the_page_escapes_the_document_and_the_host() -> None:
    """No markup of them is rendered."""
    html = page(DOCUMENT, _scope(host="<script>")).decode()

    assert "<title>a &amp; b" in html
    assert "&lt;b&gt;" in html
    assert "<script>" not in html
