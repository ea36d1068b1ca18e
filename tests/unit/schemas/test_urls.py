"""Host and path of URLs, as browsers parse them and as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.urls import MAX_PATH_CHARACTERS, Location, host_of, location_of


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://shop.example/a/b?q=1#top", "shop.example", "/a/b"),
        ("https://shop.example", "shop.example", "/"),
        ("https://shop.example?q", "shop.example", "/"),
        ("HTTPS://SHOP.example/%7Efoo", "shop.example", "/%7Efoo"),
        ("https://user:secret@shop.example:8443/a", "shop.example", "/a"),
        ("https://shop.example./a", "shop.example", "/a"),
        ("https://shop.example/a/../b", "shop.example", "/b"),
        ("https:\\\\shop.example\\a", "shop.example", "/a"),
        (" ht\ttps://shop.example/a\nb ", "shop.example", "/ab"),
        ("https://bücher.example/größe", "xn--bcher-kva.example", "/gr%C3%B6%C3%9Fe"),
        ("http://[::1]:3000/x", "[::1]", "/x"),
        ("http://0x7f.1/x", "127.0.0.1", "/x"),
        ("app://main/x", "main", "/x"),
        ("capacitor://localhost/x", "localhost", "/x"),
        ("tauri://localhost", "localhost", "/"),
        ("android-app://com.example.App", "com.example.app", "/"),
        ("chrome-extension://abc/popup.html", "abc", "/popup.html"),
        ("file:///C:/a/b", None, "/C:/a/b"),
    ],
)
def test_host_and_path_of_a_url(url: str, host: str | None, path: str) -> None:
    """According to the WHATWG URL Standard, without port, query and credentials."""
    assert location_of(url) == (host, path)


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("example.com/pricing", "example.com", "/pricing"),
        ("example.com\\pricing", "example.com", "/pricing"),
        ("www.Example.COM", "www.example.com", "/"),
        ("example.com?x=1", "example.com", "/"),
        ("example.com#top", "example.com", "/"),
        ("example.com:8080?x=1", "example.com", "/"),
        ("localhost/foo", "localhost", "/foo"),
        ("localhost:3000/foo", "localhost", "/foo"),
        ("LOCALHOST:3000", "localhost", "/"),
        ("web:8080/foo", "web", "/foo"),
        ("192.168.0.1/foo", "192.168.0.1", "/foo"),
        ("[::1]:3000/x", "[::1]", "/x"),
        ("//example.com/x", "example.com", "/x"),
        ("\\\\example.com/x", "example.com", "/x"),
        ("user@example.com/x", "example.com", "/x"),
        ("bücher.example/x", "xn--bcher-kva.example", "/x"),
        ("/only/path?q", None, "/only/path"),
        ("\\only\\path", None, "/only/path"),
        ("only/path", None, "/only/path"),
        ("index.html?q", None, "/index.html"),
        ("two words", None, "/two%20words"),
    ],
)
def test_host_and_path_of_a_url_without_a_scheme(url: str, host: str | None, path: str) -> None:
    """A name with a dot, a port or brackets is a host, as is `localhost`."""
    assert location_of(url) == (host, path)


@pytest.mark.parametrize(
    "url",
    [
        *("about:blank", "about:srcdoc#x", "ABOUT:blank", "data:text/html,<p>", "data:,1/2"),
        *("mailto:a@shop.example", "mailto:3000", "javascript:void(0)", "javascript:0", "tel:112"),
        *("blob:https://shop.example/1-2-3", "sms:+1555", "urn:isbn:1", "view-source:https://a.b/"),
        *("", " ", "?q=1", "#top", "//", "https://", "https://[broken", "http://a.b:99999/x"),
        *("localhost:99999/x", "https://a b/x", "\ud800", "https://shop.example/\ud800"),
    ],
)
def test_an_opaque_or_invalid_url_has_neither(url: str) -> None:
    """No host and no path."""
    assert location_of(url) == Location(None, None)


@pytest.mark.parametrize(
    ("hostname", "host"),
    [
        ("Shop.Example", "shop.example"),
        ("shop.example.:8080", "shop.example"),
        ("https://shop.example/x", "shop.example"),
        ("intranet", "intranet"),
        ("web:80", "web"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("a b", None),
        ("", None),
    ],
)
def test_a_hostname_is_a_host_even_without_a_dot(hostname: str, host: str | None) -> None:
    """Ports and URLs are accepted, too."""
    assert host_of(hostname) == host


@given(st.text(st.characters(codec=None)) | st.from_regex(r"[a-z./:@?#\[\]\\ 0-9]*"))
def test_any_text_has_a_valid_location(text: str) -> None:
    """No text raises an error."""
    host, path = location_of(text)

    assert host is None or (host and host == host.lower())
    assert path is None or (path.startswith("/") and len(path) <= MAX_PATH_CHARACTERS)
    assert host is None or path is not None
