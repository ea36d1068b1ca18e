"""CORS: trackers run on the pages of any site, so every origin may send events."""

import re
from collections.abc import Mapping

from producer_api.http.paths import is_event_path
from producer_api.http.responses import Headers, Response

#: Values that may be echoed in a response header.
_PRINTABLE = re.compile(rb"[\x20-\x7e]{1,1024}")
_A_DAY = b"86400"


def origin_headers(request: Mapping[bytes, bytes]) -> Headers:
    """Return the headers that let a page of the request's origin read the response."""
    origin = request.get(b"origin")
    if origin is None or not _PRINTABLE.fullmatch(origin):
        return []
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"retry-after"),
        (b"vary", b"origin"),
    ]


def response_headers(path: str, request: Mapping[bytes, bytes]) -> Headers:
    """Return `origin_headers` if the canonical path accepts events, else none."""
    return origin_headers(request) if is_event_path(path) else []


def preflight(request: Mapping[bytes, bytes], methods: str) -> Response:
    """Return the response to a preflight, without `origin_headers`, which every response gets."""
    requested = request.get(b"access-control-request-headers", b"")
    if not _PRINTABLE.fullmatch(requested):
        requested = b"content-type, content-encoding"
    return Response(
        204,
        [
            (b"allow", methods.encode()),
            (b"access-control-allow-methods", methods.encode()),
            (b"access-control-allow-headers", requested),
            (b"access-control-max-age", _A_DAY),
        ],
        b"",
    )
