"""The origins whose pages may send events of a site."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import can_ada

#: The number of cached decisions per site.
_MAX_CACHED = 256
#: The longest host name is 253 characters; a client may send a much longer header.
_MAX_CHARACTERS = 300
_WEB = frozenset({"http:", "https:"})
_EXAMPLES = "https://shop.example, *.shop.example or http://localhost:3000"
#: Parts of a URL that an origin does not have.
_MORE = re.compile(r"[/\\?#@]")


class Origin(NamedTuple):
    """An origin: its scheme with a colon, host in lower case, and port ("" is the default one)."""

    scheme: str
    host: str
    port: str


class Origins:
    """A set of origins: `https://shop.example`, or `shop.example` for all schemes and ports.

    A host that begins with `*.` stands for its subdomains.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(map(_pattern, patterns))
        self._contains = lru_cache(_MAX_CACHED)(self._search)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def allows(self, origin: str) -> bool:
        """Return True if a header `Origin` is in the set."""
        return len(origin) <= _MAX_CHARACTERS and self._contains(origin)

    def allows_host(self, host: str) -> bool:
        """Return True if a host, in lower case, is that of an origin in the set."""
        return any(_matches(pattern.host, host) for pattern in self._patterns)

    def _search(self, url: str) -> bool:
        origin = parse_origin(url)
        return origin is not None and any(
            pattern.scheme in ("", origin.scheme)
            and (not pattern.scheme or pattern.port == origin.port)
            and _matches(pattern.host, origin.host)
            for pattern in self._patterns
        )


def normalized_pattern(text: str) -> str:
    """Return a pattern for `Origins` as browsers write it: lower case, ASCII, no default port.

    Raises ValueError if it is not an origin without a path, or a host without a port; the message
    says what is allowed.
    """
    pattern = _pattern(text)
    name = pattern.host.removeprefix("*.")
    is_name = bool(pattern.scheme) or "." in name or name == "localhost"
    if not name or "*" in name or not is_name:
        raise ValueError(f"must be an origin, such as {_EXAMPLES}")
    normal = f"{pattern.scheme}//{pattern.host}" if pattern.scheme else pattern.host
    if pattern.port:
        normal += f":{pattern.port}"
    authority = text.rpartition("://")[2].strip().removesuffix("/")
    if _MORE.search(authority):
        raise ValueError(f"must be an origin, without a user, path or query: {normal}")
    if not pattern.scheme and ":" in authority:
        raise ValueError(
            f"must be an origin with a scheme, because it has a port: https://{normal}"
        )
    return normal


def parse_origin(url: str) -> Origin | None:
    """Return the origin of an absolute http or https URL; None for other text."""
    try:
        parts = can_ada.parse(url)
    except (ValueError, TypeError):  # TypeError: lone surrogates
        return None
    if parts.protocol not in _WEB or not parts.hostname:
        return None
    return Origin(parts.protocol, parts.hostname.lower().rstrip("."), parts.port)


def _pattern(text: str) -> Origin:
    """Return the origin of a pattern, with an empty scheme if it has none, and its `*.`."""
    scheme, separator, host = text.rpartition("://")
    wildcard = "*." if host.startswith("*.") else ""
    parsed = parse_origin(f"{scheme or 'https'}://{host.removeprefix(wildcard)}")
    if parsed is None:  # matches nothing
        return Origin(text, "", "")
    return parsed._replace(
        scheme=parsed.scheme if separator else "", host=f"{wildcard}{parsed.host}"
    )


def _matches(pattern: str, host: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
