"""Webhook URLs and addresses that are rejected or accepted (SSRF)."""

from ipaddress import ip_address

import pytest

from sinks.delivery.addresses import ForbiddenError, check_address, check_url, is_public

PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "0.0.0.0",  # noqa: S104 - not to listen on
    "0.1.2.3",
    "192.0.0.8",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:0:127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "64:ff9b:1::808:808",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "2002:a00:1::1",
    "2001:0:7f00:1::",
    "2001:0:808:808:0:0:f5ff:fffe",  # Teredo, of a client at 10.0.0.1
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "100::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "4000::1",
]

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "172.32.0.1",
    "100.63.255.255",
    "192.0.1.1",
    "198.20.0.1",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]

REFUSED_URLS = [
    "",
    "hooks.example/x",
    "http://hooks.example/x",
    "HTTP://hooks.example/x",
    "ftp://hooks.example/x",
    "file:///etc/passwd",
    "gopher://hooks.example/x",
    "javascript:alert(1)",
    "//hooks.example/x",
    "https:///x",
    "https://",
    "https://hooks.example:80/x",
    "https://hooks.example:22/x",
    "https://hooks.example:8080/x",
    "https://hooks.example:0/x",
    "https://hooks.example:99999/x",
    "https://hooks.example:x/x",
    "https://user@hooks.example/x",
    "https://user:password@hooks.example/x",
    "https://hooks.example@127.0.0.1/x",
    "https://@hooks.example/x",
    "https://:@hooks.example/x",
    "https://hooks.example%40127.0.0.1/x",
    "https://hooks.example\\@127.0.0.1/x",
    "https://127.0.0.1\\.hooks.example/x",
    "https://hooks.example/x#part",
    "https://hooks.example/x y",
    "https://hooks.example/x\r\nHost: inside",
    "https://hooks.example\t/x",
    "https://127.0.0.1/x",
    "https://127.1/x",
    "https://127.0.1/x",
    "https://127.0.0.1./x",
    "https://0x7f.1/x",
    "https://0x7f000001/x",
    "https://0x7F.0x0.0x0.0x1/x",
    "https://2130706433/x",
    "https://017700000001/x",
    "https://0177.0.0.1/x",
    "https://127.0.0.01/x",
    "https://256.256.256.256/x",
    "https://127.0.0.0x1/x",
    "https://1.2.3.4.5/x",
    "https://[::1]/x",
    "https://[::]/x",
    "https://[::ffff:127.0.0.1]/x",
    "https://[0:0:0:0:0:ffff:7f00:1]/x",
    "https://[64:ff9b::a9fe:a9fe]/x",
    "https://[2002:a9fe:a9fe::]/x",
    "https://[fe80::1%25eth0]/x",
    "https://[fe80::1%eth0]/x",
    "https://[fc00::1]/x",
    "https://[::1/x",
    "https://169.254.169.254/latest/meta-data/",
    "https://10.0.0.1:8443/x",
    "https://１２７.0.0.1/x",  # noqa: RUF001 - digits of full width
    "https://①②⑦.0.0.1/x",
    "https://127。0。0。1/x",
    "https://häuser.example/x",
    "https://hooks..example/x",
    "https://.hooks.example/x",
    "https://-hooks.example/x",
    "https://hooks_%00.example/x",
    "https://ho%6fks.example/x",
    "https://" + "a" * 64 + ".example/x",
    "https://" + "a." * 127 + "example/x",
    "https://hooks.example/" + "x" * 2_048,
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_rejected(address: str) -> None:
    """Including IPv6 addresses that embed an IPv4 address."""
    with pytest.raises(ForbiddenError):
        check_address(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_accepted(address: str) -> None:
    """Including NAT64 and 6to4 forms of public IPv4 addresses."""
    assert is_public(ip_address(address))


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_a_deceptive_url_is_rejected(url: str) -> None:
    """The error contains no address."""
    with pytest.raises(ForbiddenError) as caught:
        check_url(url, allow_private=False)

    assert "127" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/x?a=1&b=%20",
        "https://hooks.example",
        "https://HOOKS.example:8443/x",
        "https://xn--huser-gra.example/x",
        "https://hooks_1.example/x",
        "https://1.1.1.1/x",
        "https://[2606:4700:4700::1111]/x",
        "https://localhost/x",  # its address is looked at when it is resolved
    ],
)
def test_a_plain_https_url_is_accepted(url: str) -> None:
    """On port 443 or 8443."""
    assert check_url(url, allow_private=False).raw_host


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "https://10.0.0.1/", "http://[::1]:80/"])
def test_private_addresses_are_accepted_if_allowed(url: str) -> None:
    """For development."""
    assert check_url(url, allow_private=True).raw_host


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://user@127.0.0.1/", "http://127.1/"])
def test_deceptive_urls_are_rejected_even_if_private_addresses_are_allowed(url: str) -> None:
    """Other schemes, user info and abbreviated addresses."""
    with pytest.raises(ForbiddenError):
        check_url(url, allow_private=True)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("https://x.example", "/"),
        ("https://x.example?", "/?"),
        ("https://x.example?a", "/?a"),
        ("https://x.example/hook?", "/hook?"),
        ("https://x.example/a%2Fb%2fc%20d", "/a%2Fb%2fc%20d"),
        ("https://x.example/a+b;c=d,e", "/a+b;c=d,e"),
        ("https://x.example//a//", "//a//"),
        ("https://x.example/a/../b/./c", "/a/../b/./c"),
        ("https://x.example:443/?x=%41&y=a+b&&=&z", "/?x=%41&y=a+b&&=&z"),
        ("https://x.example/%7Eme/~me/%zz", "/%7Eme/~me/%zz"),
        ("https://x.example/'(){}[]|^`\"<>", "/'(){}[]|^`\"<>"),
        ("https://x.example/a@b:c?d?e/f", "/a@b:c?d?e/f"),
        ("HTTPS://X.Example/A", "/A"),
    ],
)
def test_the_request_target_is_not_normalized(text: str, target: str) -> None:
    """Path and query are kept byte for byte; the host is the validated one."""
    url = check_url(text, allow_private=False)

    assert url.raw_path_qs == target
    assert (url.host, url.scheme) == ("x.example", "https")
