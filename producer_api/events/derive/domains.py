"""Registrable domains: the part of a host that its owner registered, as `shop.co.uk`."""

from functools import cache, lru_cache
from typing import Any


@cache
def public_suffixes() -> Any:
    """Return the public suffix list, which takes 50 ms to load."""
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415

    return PublicSuffixList()


@lru_cache(10_000)
def registrable_domain(host: str) -> str:
    """Return the registrable domain; the host itself if it has none, as `localhost`."""
    # A host that ends in a number is an IPv4 address (WHATWG URL Standard).
    if host.startswith("[") or host.rpartition(".")[2].isdigit():
        return host
    domain: str | None = public_suffixes().privatesuffix(host)
    return domain or host
