"""Validation of webhook URLs and addresses, against server-side request forgery (SSRF).

A URL is checked when a subscription is created or changed, and at every attempt. The address is
checked when the socket is created, so that DNS rebinding cannot bypass the check.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from yarl import URL

MAX_URL_CHARACTERS = 2_048
PORTS = (443, 8443)

Address = IPv4Address | IPv6Address

_PRINTABLE = re.compile(r"[!-~]+")
_AUTHORITY_END = re.compile(r"[/?#]")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)
_DOTTED = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
_MAX_HOST_CHARACTERS = 253
#: A last label that `inet_aton` and browsers parse as a number, and the host as an IPv4 address.
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+", re.IGNORECASE)

#: Reserved networks that are global for `is_global` in some version of Python.
_RESERVED_V4 = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/4")))
_GLOBAL_V6 = IPv6Network("2000::/3")
_RESERVED_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
_NAT64 = ip_network("64:ff9b::/96")
_IPV4_COMPATIBLE = ip_network("::/96")


class ForbiddenError(OSError):
    """The URL or address is not allowed. The message is shown to the subscriber.

    An `OSError`, like the other reasons for a failed connection. The message contains no address.
    """


def check_url(text: str, *, allow_private: bool) -> URL:
    """Parse and validate a webhook URL; raises `ForbiddenError`.

    The path of the result contains everything after the authority, unchanged (RFC 3986, 2.2), so
    that `raw_path_qs` has the given bytes. An empty path becomes `/`.

    Unless `allow_private`, the URL must have https, port 443 or 8443, and no private address.
    """
    if not _PRINTABLE.fullmatch(text) or len(text) > MAX_URL_CHARACTERS or "\\" in text:
        raise ForbiddenError(f"the URL must be 1 to {MAX_URL_CHARACTERS:,} ASCII characters")
    scheme, _, rest = text.partition("://")
    schemes = ("https", "http") if allow_private else ("https",)
    if scheme.lower() not in schemes:
        raise ForbiddenError(f"the URL must begin with {' or '.join(schemes)}")
    authority = _AUTHORITY_END.split(rest, maxsplit=1)[0]
    target = rest.removeprefix(authority)
    if "@" in authority:
        raise ForbiddenError("the URL must not contain a user or password")
    if "#" in target or not authority:
        raise ForbiddenError("the URL must have a host and no fragment")
    if not target.startswith("/"):
        target = f"/{target}"
    try:
        url = URL.build(scheme=scheme.lower(), authority=authority, path=target, encoded=True)
        host, port = url.raw_host, url.port
    except ValueError:
        raise ForbiddenError("this is not a URL") from None
    if not host:
        raise ForbiddenError("the URL must have a host and no fragment")
    if not allow_private and port not in PORTS:
        raise ForbiddenError(f"the port must be {' or '.join(map(str, PORTS))}")
    _check_host(host, allow_private=allow_private)
    return url


def check_address(text: str) -> None:
    """Raise `ForbiddenError` unless the address is globally routable."""
    if not is_public(ip_address(text.partition("%")[0])):
        raise ForbiddenError("the host's address is not public")


def is_public(address: Address) -> bool:
    """Return True if the address is globally routable.

    Looks through IPv4-mapped, NAT64, 6to4 and Teredo addresses.
    """
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in _RESERVED_V4)
    embedded = _embedded_ipv4(address)
    if embedded:
        return all(is_public(inner) for inner in embedded)
    if address not in _GLOBAL_V6 or not address.is_global:
        return False
    return not any(address in network for network in _RESERVED_V6)


def _embedded_ipv4(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses that packets to this address are sent to or through."""
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if address in _NAT64 or address in _IPV4_COMPATIBLE:
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    return ()


def _check_host(host: str, *, allow_private: bool) -> None:
    if ":" in host or _DOTTED.fullmatch(host):
        try:
            address = ip_address(host)
        except ValueError:
            raise ForbiddenError("the host is not a valid IP address") from None
        if not allow_private and not is_public(address):
            raise ForbiddenError("the host's address is not public")
        return
    labels = host.split(".")
    if len(host) > _MAX_HOST_CHARACTERS or not all(map(_LABEL.fullmatch, labels)):
        raise ForbiddenError("the host is not a valid name; write it in ASCII (xn--…)")
    if _NUMBER.fullmatch(labels[-1]):
        # Some resolvers parse 127.1, 0x7f.1 and 2130706433 as addresses.
        raise ForbiddenError("the host looks like a number; write an IPv4 address as a.b.c.d")
