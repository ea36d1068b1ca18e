"""Hosting below a path of a reverse proxy, as at https://example.com/headrace/."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from schemas.trusted_proxies import RawHeader, TrustedProxies

Scope = Mapping[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]

#: First segments of the paths that the roles serve. A root path cannot begin with one: a proxy may
#: remove the root path or keep it, and `/api/event` would have two meanings.
RESERVED = frozenset(
    {
        *("api", "docs", "healthz", "metrics", "openapi.json", "page", "readyz"),
        *("script.js", "script.full.js"),
        # Endpoints of other systems' clients.
        *("2", "analytics.js", "array", "batch", "beacon", "capture"),
        *("com.snowplowanalytics.snowplow", "count", "decide", "e", "engage", "event"),
        *("flags", "groupidentify", "groups", "httpapi", "i", "identify", "import", "matomo.php"),
        *("piwik.php", "pixel", "profile", "record", "s", "settings", "sourceConfig", "static"),
        *("track", "v1"),
    }
)

_STATE = "headrace.root_path"
_SEGMENTS = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+")


def root_path_of(scope: Scope) -> str:
    """Return the path below which the client sees the server, without trailing slash; "" for /."""
    return str(scope.get("state", {}).get(_STATE, ""))


def parse_root_path(text: str) -> str:
    """Return a root path without trailing slash; "" for "/" and "". Raise ValueError if invalid."""
    path = text.rstrip("/")
    if path and not _SEGMENTS.fullmatch(path):
        raise ValueError("must be a path such as /headrace: / and segments of A-Z a-z 0-9 . _ ~ -")
    if path and path.split("/")[1] in RESERVED:
        raise ValueError(f"must not begin with /{path.split('/')[1]}, which headrace itself serves")
    return path


class RootPath:
    """An ASGI application that serves another one below a path.

    The proxy may remove `root_path` from the path of a request, or keep it. Without `root_path`, a
    trusted proxy reports in `X-Forwarded-Prefix` what it removed.
    """

    def __init__(self, app: Application, root_path: str, proxies: TrustedProxies) -> None:
        self._app = app
        self._root_path = root_path
        self._proxies = proxies
        #: See `fast_protocol` and `connections`.
        self.intake = getattr(app, "intake", None)
        self.count_unserved = getattr(app, "count_unserved", None)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, or the lifespan protocol."""
        if scope["type"] == "http":
            scope = self._relative(scope)
        await self._app(scope, receive, send)

    def _relative(self, scope: Scope) -> Scope:
        """Return a scope whose path is relative to the root path."""
        path, root_path = scope["path"], self._root_path
        if root_path:
            if path == root_path or path.startswith(f"{root_path}/"):
                path = path[len(root_path) :] or "/"
        elif not (root_path := self._forwarded(scope)):
            return scope
        state = {**scope.get("state", {}), _STATE: root_path}
        return {**scope, "path": path, "state": state}

    def _forwarded(self, scope: Scope) -> str:
        peer = (scope.get("client") or ("",))[0]
        return forwarded_prefix(scope["headers"]) if self._proxies.trusts(peer) else ""


def forwarded_prefix(headers: Iterable[RawHeader]) -> str:
    """Return the path in `X-Forwarded-Prefix`; "" without one and if it is invalid.

    Several proxies append their prefixes, the outermost first.
    """
    values = [value for name, value in headers if name == b"x-forwarded-prefix"]
    prefixes = b",".join(values).decode("latin-1").split(",")
    path = "".join(prefix.strip().rstrip("/") for prefix in prefixes)
    return path if _SEGMENTS.fullmatch(path) else ""
