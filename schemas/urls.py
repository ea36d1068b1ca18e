"""Host and path of URLs: one rule for streams, sinks and live counters.

URLs are parsed as in browsers (WHATWG URL Standard) with Ada (docs/adr/0032). Clients also send
hosts without a scheme, and paths.
"""

import re
from typing import NamedTuple

import can_ada

MAX_PATH_CHARACTERS = 2048

#: Characters that browsers strip from both ends of a URL, and remove inside it.
_EDGES = "".join(map(chr, range(0x21)))
_DROPPED = dict.fromkeys(map(ord, "\t\n\r"))

#: The base URL of relative paths.
_ROOT = "https://relative.invalid/"
_WEB = ("https://", "http://")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
#: `localhost:3000/foo` has a host and a port, not a scheme.
_HOST_AND_PORT = re.compile(r"[^:]+:[0-9]{1,5}(?![^/\\?#])")
#: A host without a scheme: it has a dot, a port or brackets, or is localhost.
_HOST = re.compile(
    r"(?:[^\s/\\?#@]+@)?(?:localhost|\[[^\s/\\?#]+\]|[^\s/\\?#:]+\.[^\s/\\?#:]+)"
    r"(?::[0-9]*)?(?![^/\\?#])",
    re.IGNORECASE,
)
#: `index.html` has a dot, too, but is a path.
_PAGE = re.compile(r"[^/\\?#]+\.(?:[sx]?html?|php|aspx?|jsp)(?![^?#])", re.IGNORECASE)

#: Schemes without host and path.
_OPAQUE = frozenset({"about", "blob", "data", "javascript", "mailto", "sms", "tel", "urn"})
#: Schemes that are never parsed as a host with a port.
_NO_HOSTS = _OPAQUE | {"http", "https", "ws", "wss", "ftp", "file"}


class Location(NamedTuple):
    """The host (lower case, ASCII, without port) and the path of a URL."""

    host: str | None = None
    path: str | None = None


def location_of(url: str) -> Location:
    """Return the host and the path of a URL, None if absent. Never raises.

    Without a scheme, `example.com/a` and `localhost:3000/a` have a host; `/a` and `a/b` are paths.
    Opaque URLs (`about:blank`, `data:…`) and invalid ones (`https://[broken`) have neither.
    """
    if url.startswith(_WEB):  # the fast path
        return _parsed(url)
    text = url.strip(_EDGES).translate(_DROPPED)
    scheme = _SCHEME.match(text)
    name = scheme[1].lower() if scheme else None
    if name is None or (name not in _NO_HOSTS and _HOST_AND_PORT.match(text)):
        return _without_scheme(text)
    return Location() if name in _OPAQUE else _parsed(text)


def host_of(hostname: str) -> str | None:
    """Return the host of the field `hostname` in the form of `Location.host`; None if it has none.

    Accepts names without a dot, and ports and whole URLs, which some clients send.
    """
    return location_of(hostname).host or _parsed(f"https://{hostname.strip(_EDGES)}").host


def _without_scheme(text: str) -> Location:
    if text.startswith(("//", "/\\", "\\/", "\\\\")):
        return _parsed(f"https:{text}")
    if not text or text[0] in "?#":
        return Location()
    if (_HOST.match(text) or _HOST_AND_PORT.match(text)) and not _PAGE.match(text):
        return _parsed(f"https://{text}")
    path = text[1:] if text[0] in "/\\" else text
    return Location(None, _parsed(f"{_ROOT}{path}").path)


def _parsed(url: str) -> Location:
    try:
        parts = can_ada.parse(url)
    except (ValueError, TypeError):  # TypeError: lone surrogates
        return Location()
    host = parts.hostname.lower().rstrip(".") or None
    path = parts.pathname
    if path.startswith("/"):
        return Location(host, path[:MAX_PATH_CHARACTERS])
    # A URL without a path, https://example.com or app://main, is the root page.
    return Location(host, None if host is None else "/")
