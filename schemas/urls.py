"""The host and the path that a URL names: one rule for streams, sinks and live counters.

URLs are parsed as browsers parse them (WHATWG URL Standard, by Ada). Clients also send what no
browser would call a URL: a host without a scheme, or a path alone. Why Ada: docs/adr/0032.
"""

import re
from typing import NamedTuple

import can_ada

MAX_PATH_CHARACTERS = 2048

#: What browsers strip from both ends of a URL, and what they drop inside it.
_EDGES = "".join(map(chr, range(0x21)))
_DROPPED = dict.fromkeys(map(ord, "\t\n\r"))

#: What a path alone is resolved against.
_ROOT = "https://relative.invalid/"
_WEB = ("https://", "http://")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
#: `localhost:3000/foo`: what reads like a scheme is a host, because a port follows it.
_HOST_AND_PORT = re.compile(r"[^:]+:[0-9]{1,5}(?![^/\\?#])")
#: What has no scheme begins with a host when it has a dot, a port or brackets, or is localhost.
_HOST = re.compile(
    r"(?:[^\s/\\?#@]+@)?(?:localhost|\[[^\s/\\?#]+\]|[^\s/\\?#:]+\.[^\s/\\?#:]+)"
    r"(?::[0-9]*)?(?![^/\\?#])",
    re.IGNORECASE,
)
#: `index.html` has a dot, too, but is the name of a page.
_PAGE = re.compile(r"[^/\\?#]+\.(?:[sx]?html?|php|aspx?|jsp)(?![^?#])", re.IGNORECASE)

#: Schemes whose URLs name no page of a site, whatever follows.
_OPAQUE = frozenset({"about", "blob", "data", "javascript", "mailto", "sms", "tel", "urn"})
#: Schemes that are no host, though a number follows.
_NO_HOSTS = _OPAQUE | {"http", "https", "ws", "wss", "ftp", "file"}


class Location(NamedTuple):
    """Where a URL points: a host in lower case and in ASCII without its port, and a path."""

    host: str | None = None
    path: str | None = None


def location_of(url: str) -> Location:
    """Return the host and the path of a URL; None for what it does not have. Never raises.

    Without a scheme, `example.com/a` and `localhost:3000/a` begin with a host, and `/a` or `a/b`
    is a path. `about:blank`, `data:…` and other opaque URLs have neither, as has text that
    browsers refuse, such as `https://[broken`.
    """
    if url.startswith(_WEB):  # nearly always
        return _parsed(url)
    text = url.strip(_EDGES).translate(_DROPPED)
    scheme = _SCHEME.match(text)
    name = scheme[1].lower() if scheme else None
    if name is None or (name not in _NO_HOSTS and _HOST_AND_PORT.match(text)):
        return _without_scheme(text)
    return Location() if name in _OPAQUE else _parsed(text)


def host_of(hostname: str) -> str | None:
    """Return what the field `hostname` names, as `Location.host` would be; None for no host.

    A name without a dot is a host here; a port or a whole URL, as some clients send, is accepted.
    """
    known = location_of(hostname)
    return known.host or _parsed(f"https://{hostname.strip(_EDGES)}").host


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
    except (ValueError, TypeError):  # the latter for lone surrogates
        return Location()
    host = parts.hostname.lower().rstrip(".") or None
    path = parts.pathname
    if path.startswith("/"):
        return Location(host, path[:MAX_PATH_CHARACTERS])
    # A host alone, https://example.com or app://main, is its front page.
    return Location(host, None if host is None else "/")
