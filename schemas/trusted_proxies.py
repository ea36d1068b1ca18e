"""The client address of a request that trusted reverse proxies forwarded."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

#: A header of a request: its name in lower case, and its value.
RawHeader = tuple[bytes, bytes]
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: The number of cached decisions.
_MAX_CACHED = 4096


class TrustedProxies:
    """The networks of the reverse proxies whose forwarding headers are trusted."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(map(ipaddress.ip_network, networks))
        self._contains = lru_cache(_MAX_CACHED)(self._search)

    def trusts(self, address: str) -> bool:
        """Return True if an address is that of a trusted proxy."""
        return bool(self._networks) and self._contains(address)

    def client_address(self, peer: str, headers: Iterable[RawHeader]) -> str:
        """Return the last address of the forwarding chain that is not a trusted proxy.

        `X-Forwarded-For` takes precedence over `Forwarded`. An entry that is not an address ends
        the search, because nothing before it can be verified.
        """
        if not self.trusts(peer):
            return peer
        client = peer
        for hop in reversed(_hops(headers)):
            if (address := parse_address(hop)) is None:
                break
            client = str(address)
            if not self.trusts(client):
                break
        return client

    def is_https(self, peer: str, headers: Iterable[RawHeader]) -> bool:
        """Return True if a trusted proxy received the request over TLS."""
        return self._last(peer, headers, b"x-forwarded-proto", "proto").lower() == "https"

    def host(self, peer: str, headers: Iterable[RawHeader]) -> str:
        """Return the host, with a port if any, that a trusted proxy was asked for; else ""."""
        return self._last(peer, headers, b"x-forwarded-host", "host")

    def _last(self, peer: str, headers: Iterable[RawHeader], header: bytes, parameter: str) -> str:
        """Return the value that the nearest proxy set in `header` or in `Forwarded`."""
        if not self.trusts(peer):
            return ""
        values = {name: value.rpartition(b",")[2].decode("latin-1") for name, value in headers}
        if header in values:
            return values[header].strip()
        return _parameter(values.get(b"forwarded", ""), parameter)

    def _search(self, text: str) -> bool:
        address = parse_address(text)
        return address is not None and any(address in network for network in self._networks)


def parse_address(text: str) -> IpAddress | None:
    """Return the IP address in an entry of a forwarding header; None if it has none.

    Ports, brackets, quotes and zones are removed; an IPv4-mapped address becomes IPv4.
    """
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_forwarded(headers: Iterable[RawHeader]) -> bool:
    """Return True if the request has a forwarding header."""
    return any(name in {b"x-forwarded-for", b"forwarded"} for name, _ in headers)


def _hops(headers: Iterable[RawHeader]) -> list[str]:
    """Return the entries of the forwarding headers, the client's first."""
    values: dict[bytes, list[str]] = {b"x-forwarded-for": [], b"forwarded": []}
    for name, value in headers:
        if name in values:
            values[name] += value.decode("latin-1").split(",")
    return values[b"x-forwarded-for"] or [
        _parameter(element, "for") for element in values[b"forwarded"]
    ]


def _parameter(element: str, name: str) -> str:
    """Return a parameter of an element of `Forwarded` (RFC 7239); empty without it."""
    for parameter in element.split(";"):
        key, _, value = parameter.partition("=")
        if key.strip().lower() == name:
            return value.strip().strip('"')
    return ""
