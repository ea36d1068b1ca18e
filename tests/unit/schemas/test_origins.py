"""Origins of registered sites."""

import pytest

from schemas.origins import Origins, is_pattern


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
    assert is_pattern(pattern)
    assert [url for url in allowed + others if origins.allows(url)] == allowed


@pytest.mark.parametrize(
    "text",
    ["", "*", "*.", "https://", "https://shop.example/path", "https://a@shop.example",
     "shop.example:80", "https://*", "ftp://shop.example", "https://Shop.example",
     "https://shop.example:443", "null", "https://a.*.example", "sh op.example",
     "https://münchen.example"],
)  # fmt: skip
def test_what_no_browser_sends_is_no_origin(text: str) -> None:
    """Mistakes are reported at the registration, not by rejected events."""
    assert not is_pattern(text)
