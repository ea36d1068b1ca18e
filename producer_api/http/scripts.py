"""Serves the tracker's scripts to the pages of any site."""

import re
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from producer_api.tracker.scripts import NAMES, Script, load

Endpoint = Callable[[Request], Awaitable[Response]]

_HOUR = "public, max-age=3600"
_FOREVER = "public, max-age=31536000, immutable"
_SCRIPTS = tuple(map(load, NAMES))
#: The path of each script without its version, by path.
SCRIPT_PATHS = {
    path: script.path for script in _SCRIPTS for path in (script.path, script.versioned_path)
}
_ANY_VERSION = re.compile(r"(/script(?:\.full)?)\.[0-9a-f]+\.js")
#: Of responses that pages with `crossorigin` can read, and whose status their console shows.
ANY_ORIGIN = {"access-control-allow-origin": "*"}


def missing_version(path: str) -> str | None:
    """Return the error message for another version of a script; None if the path is of none."""
    if not (found := _ANY_VERSION.fullmatch(path)):
        return None
    current = load(f"{found[1][1:]}.js").versioned_path
    return (
        f"There is no {path}: the server has only its current version, {current}; "
        "`headrace sites show SITE` prints the tag"
    )


def is_script_path(path: str) -> bool:
    """Return True if a canonical path is that of a script, in any version."""
    return path in SCRIPT_PATHS or _ANY_VERSION.fullmatch(path) is not None


def routes() -> list[Route]:
    """Return the routes of the scripts, with and without version."""
    return [
        route
        for script in _SCRIPTS
        for route in (
            Route(script.path, _endpoint(script, _HOUR)),
            Route(script.versioned_path, _endpoint(script, _FOREVER)),
        )
    ]


def _endpoint(script: Script, cache_control: str) -> Endpoint:
    async def respond(request: Request) -> Response:
        is_gzipped = _accepts_gzip(request.headers.get("accept-encoding", ""))
        etag = f'"{script.digest}{"-gzip" if is_gzipped else ""}"'
        headers = {
            "cache-control": cache_control,
            "etag": etag,
            "vary": "accept-encoding",
            # Relative: the server can be below a path of a proxy.
            "content-location": script.versioned_path[1:],
            # For pages with `crossorigin`, which `integrity` needs, and with COEP.
            **ANY_ORIGIN,
            "access-control-expose-headers": "content-location",
            "cross-origin-resource-policy": "cross-origin",
            "timing-allow-origin": "*",
            "x-content-type-options": "nosniff",
        }
        if _matches(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        if is_gzipped:
            headers["content-encoding"] = "gzip"
        content = script.gzipped if is_gzipped else script.content
        return Response(content, headers=headers, media_type="text/javascript")

    return respond


def _accepts_gzip(header: str) -> bool:
    """Return True if `Accept-Encoding` allows gzip."""
    for part in header.lower().split(","):
        (coding, _, parameter) = part.replace(" ", "").partition(";")
        if coding in {"gzip", "*"}:
            return parameter not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _matches(if_none_match: str, etag: str) -> bool:
    """Return True if the client has this version."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or "*" in tags
