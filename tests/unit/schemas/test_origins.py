"""Origins of registered sites."""

import pytest

from schemas.origins import Origins, normalized_pattern


@pytest.mark.parametrize(
    ("pattern", "allowed", "others"),
    [
        (
            "https://shop.example",
            ["https://shop.example", "https://SHOP.example:443", "https://shop.example./a?b"],
            ["http://shop.example", "https://shop.example:8443", "https://a.shop.example", "null"],
        ),
        ("http://localhost:3000", ["http://localhost:3000"], ["http://localhost", "https://a:3000"]),
        (
            "*.shop.example",
            ["https://a.shop.example", "http://a.b.shop.example:8080"],
            ["https://shop.example", "https://notshop.example", "https://shop.example.evil.example"],
        ),
        ("shop.example", ["http://shop.example:8080"], ["https://a.shop.example", "ftp://shop.example"]),
    ],
)  # fmt: skip
def test_origins_match_as_browsers_write_them(
    pattern: str, allowed: list[str], others: list[str]
) -> None:
    """Without a scheme, a host matches with any scheme and port."""
    origins = Origins([pattern])
    assert normalized_pattern(pattern) == pattern
    assert [url for url in allowed + others if origins.allows(url)] == allowed


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("https://Shop.EXAMPLE", "https://shop.example"),
        ("HTTPS://shop.example:443/", "https://shop.example"),
        ("http://shop.example:443", "http://shop.example:443"),
        ("http://shop.example:80", "http://shop.example"),
        ("https://shop.example.", "https://shop.example"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("*.Bücher.example", "*.xn--bcher-kva.example"),
        ("https://*.BÜCHER.example:8443", "https://*.xn--bcher-kva.example:8443"),
        ("Shop.Example", "shop.example"),
        ("LOCALHOST", "localhost"),
        ("http://[2001:DB8::0]:3000", "http://[2001:db8::]:3000"),
        (" https://shop.example ", "https://shop.example"),
    ],
)
def test_origins_are_stored_as_browsers_write_them(text: str, normal: str) -> None:
    """Whatever the case, the script and the port; so a header `Origin` of the browser matches."""
    assert normalized_pattern(text) == normal
    assert normalized_pattern(normal) == normal


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, "such as https://shop.example") for text in (
            "", "*", "*.", "https://", "https://*", "ftp://shop.example", "null", "shop",
            "https://a.*.example", "sh op.example", "https://shop.example:99999",
            "https:shop.example",
        )),
        ("https://Shop.example/path", "without a user, path or query: https://shop.example"),
        ("https://a@shop.example", "path or query: https://shop.example"),
        ("https://shop.example?x", "path or query: https://shop.example"),
        ("shop.example/#x", "path or query: shop.example"),
        ("shop.example:8080", "because it has a port: https://shop.example:8080"),
        ("shop.example:443", "because it has a port: https://shop.example"),
    ],
)  # fmt: skip
def test_what_no_browser_sends_is_no_origin(text: str, message: str) -> None:
    """Mistakes are reported at the registration, not by rejected events."""
    with pytest.raises(ValueError, match="must be an origin") as raised:
        normalized_pattern(text)
    assert message in str(raised.value)
