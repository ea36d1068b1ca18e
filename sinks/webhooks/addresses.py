"""Where webhooks may go: nothing inside is reachable through them.

A URL is checked when a subscription takes it and at every attempt; the address that it leads
to is checked when the socket to it is made, so that what was checked is what is connected to,
however the name resolved before.
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
#: What `inet_aton` and browsers take for a number, and so for an IPv4 address.
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+", re.IGNORECASE)

#: What `is_global` lets through, or did in some version of Python.
_CLOSED_V4 = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/4")))
_GLOBAL_V6 = IPv6Network("2000::/3")
_CLOSED_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
_TRANSLATED = ip_network("64:ff9b::/96")  # NAT64: how a network without IPv4 reaches it
_COMPATIBLE = ip_network("::/96")


class ForbiddenError(OSError):
    """A webhook may not go there; the message is for the subscriber and names no address.

    An `OSError`, as other reasons for which there is no connection.
    """


def check_url(text: str, *, allow_private: bool) -> URL:
    """Return the URL; `ForbiddenError` says what is wrong with it.

    Its path holds all that follows the authority, as it stands: a client that sends `raw_path_qs`
    sends the bytes that were given (RFC 3986, 2.2), `/` where there is no path.

    Without `allow_private`: https, port 443 or 8443, and no literal address that is not public.
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
        raise ForbiddenError("the URL may not hold a user or password")
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
    """Raise `ForbiddenError` for an address that is not of the public internet."""
    if not is_public(ip_address(text.partition("%")[0])):
        raise ForbiddenError("the host's address is not public")


def is_public(address: Address) -> bool:
    """Return True if the address is globally routable, looking through the IPv4 ones it wraps."""
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in closed for closed in _CLOSED_V4)
    wrapped = _wrapped(address)
    if wrapped:
        return all(is_public(inner) for inner in wrapped)
    if address not in _GLOBAL_V6 or not address.is_global:
        return False
    return not any(address in closed for closed in _CLOSED_V6)


def _wrapped(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses that packets to this one end at, or pass."""
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if address in _TRANSLATED or address in _COMPATIBLE:
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    return ()


def _check_host(host: str, *, allow_private: bool) -> None:
    if ":" in host or _DOTTED.fullmatch(host):
        try:
            address = ip_address(host)
        except ValueError:
            raise ForbiddenError("the host is not an address") from None
        if not allow_private and not is_public(address):
            raise ForbiddenError("the host's address is not public")
        return
    labels = host.split(".")
    if len(host) > _MAX_HOST_CHARACTERS or not all(map(_LABEL.fullmatch, labels)):
        raise ForbiddenError("the host is not a name; write it in ASCII (xn--…)")
    if _NUMBER.fullmatch(labels[-1]):
        # 127.1, 0x7f.1, 2130706433: to some resolvers these are addresses, to us they are not.
        raise ForbiddenError("the host looks like a number: write an address as four of them")
