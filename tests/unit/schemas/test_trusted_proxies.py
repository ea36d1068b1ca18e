"""The client address behind proxies."""

import pytest

from schemas.trusted_proxies import TrustedProxies

TRUSTED = TrustedProxies(("10.0.0.0/8", "2001:db8::/32"))
FORWARDED_FOR = b"x-forwarded-for"


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("8.8.8.8", [(FORWARDED_FOR, b"1.1.1.1")], "8.8.8.8"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [(FORWARDED_FOR, b"1.1.1.1")], "1.1.1.1"),
        ("::ffff:10.0.0.1", [(FORWARDED_FOR, b"1.1.1.1")], "1.1.1.1"),
        ("10.0.0.1", [(FORWARDED_FOR, b"6.6.6.6, 1.1.1.1,10.0.0.2")], "1.1.1.1"),
        ("10.0.0.1", [(FORWARDED_FOR, b"6.6.6.6"), (FORWARDED_FOR, b"1.1.1.1")], "1.1.1.1"),
        ("10.0.0.1", [(FORWARDED_FOR, b"10.0.0.3, 10.0.0.2")], "10.0.0.3"),
        ("10.0.0.1", [(FORWARDED_FOR, b"6.6.6.6, unknown, 10.0.0.2")], "10.0.0.2"),
        ("10.0.0.1", [(FORWARDED_FOR, b"1.1.1.1:4711")], "1.1.1.1"),
        ("10.0.0.1", [(FORWARDED_FOR, b"[2606:4700::1]:443")], "2606:4700::1"),
        ("10.0.0.1", [(FORWARDED_FOR, b"")], "10.0.0.1"),
        ("2001:db8::1", [(b"forwarded", b"for=1.1.1.1;proto=https, for=10.0.0.2")], "1.1.1.1"),
        ("10.0.0.1", [(b"forwarded", b'by=x; For="[2606:4700::1]:47"')], "2606:4700::1"),
        ("10.0.0.1", [(b"forwarded", b"for=_hidden")], "10.0.0.1"),
        ("10.0.0.1", [(b"forwarded", b'host="a, for=6.6.6.6";for=1.1.1.1')], "1.1.1.1"),
        ("10.0.0.1", [(b"forwarded", b'proto=http;x=";for=6.6.6.6";FOR = "1.1.1.1"')], "1.1.1.1"),
        ("10.0.0.1", [(b"forwarded", b'for="\\1.1.1.1:47";x="\\", for=6.6.6.6"')], "1.1.1.1"),
        ("10.0.0.1", [(b"forwarded", b"for=1.1.1.1, , for=10.0.0.2,")], "1.1.1.1"),
        ("10.0.0.1", [(b"forwarded", b'for="6.6.6.6, for=1.1.1.1')], "1.1.1.1"),
        ("10.0.0.1", [(b"forwarded", b'for=6.6.6.6;x=", for=1.1.1.1;host=";y="')], "1.1.1.1"),
        ("10.0.0.1", [(b"forwarded", b'x="'), (b"forwarded", b"for=1.1.1.1")], "1.1.1.1"),
        ("10.0.0.1", [(b"forwarded", b"for=1.1.1.1, for=10.0.0.3;for=10.0.0.2")], "10.0.0.1"),
        ("10.0.0.1", [(b"forwarded", b"for=6.6.6.6, proto=https, for=10.0.0.2")], "10.0.0.2"),
        ("10.0.0.1", [(b"forwarded", b"")], "10.0.0.1"),
        ("10.0.0.1", [(b"forwarded", b"for=6.6.6.6"), (FORWARDED_FOR, b"1.1.1.1")], "1.1.1.1"),
        ("", [(FORWARDED_FOR, b"1.1.1.1")], ""),
    ],
)
def test_the_client_is_the_last_address_that_is_not_trusted(
    peer: str, headers: list[tuple[bytes, bytes]], client: str
) -> None:
    """A client can prepend entries to the header, but not append any behind a trusted proxy."""
    assert TRUSTED.client_address(peer, headers) == client


def test_without_trusted_proxies_headers_are_ignored() -> None:
    """Anyone can send them."""
    headers = [(FORWARDED_FOR, b"1.1.1.1"), (b"x-forwarded-proto", b"https")]
    assert TrustedProxies().client_address("10.0.0.1", headers) == "10.0.0.1"
    assert not TrustedProxies().is_https("10.0.0.1", headers)
    assert TRUSTED.is_https("10.0.0.1", headers)
    assert not TRUSTED.is_https("10.0.0.1", [(b"x-forwarded-proto", b"https, http")])


def test_the_scheme_and_the_host_may_be_those_of_forwarded() -> None:
    """RFC 7239; what the nearest proxy added counts, because a client can send the rest."""
    headers = [
        (b"forwarded", b'for=6.6.6.6;proto=http, for=1.1.1.1;proto=HTTPS;host="a.example:8443"')
    ]

    assert TRUSTED.is_https("10.0.0.1", headers)
    assert TRUSTED.host("10.0.0.1", headers) == "a.example:8443"
    assert TRUSTED.host("10.0.0.1", [(b"x-forwarded-host", b"evil, a.example")]) == "a.example"
    assert TRUSTED.host("10.0.0.1", []) == TRUSTED.host("8.8.8.8", headers) == ""


@pytest.mark.parametrize(
    ("value", "is_https"),
    [
        (b"for=1.1.1.1;proto=https", True),
        (b'for=1.1.1.1;Proto="HTTPS"', True),
        (b"proto=https, for=1.1.1.1;proto=http", False),
        (b'for=1.1.1.1;host=";proto=https"', False),
        (b"", False),
    ],
)
def test_the_nearest_proxy_reports_the_scheme(value: bytes, is_https: bool) -> None:
    """In `Forwarded` as well; `X-Forwarded-Proto` takes precedence."""
    headers = [(b"forwarded", value)]

    assert TRUSTED.is_https("10.0.0.1", headers) == is_https
    assert not TRUSTED.is_https("10.0.0.1", [*headers, (b"x-forwarded-proto", b"http")])
    assert not TRUSTED.is_https("8.8.8.8", headers)
