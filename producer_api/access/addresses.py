"""The address by which clients are counted."""

import ipaddress


def address_key(host: str) -> str:
    """Return the key by which a client is counted: its IPv4 address or IPv6 /64 network.

    An IPv4-mapped address is reduced to its IPv4 address. Return "" if `host` is not an address.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((address, 64), strict=False))
        address = address.ipv4_mapped
    return str(address)


def is_public(key: str) -> bool:
    """Return True if the address of `address_key` is globally routable: rarely that of a proxy."""
    return bool(key) and ipaddress.ip_network(key).is_global
