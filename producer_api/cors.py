"""Cross-origin requests: trackers run on pages of any site, so every origin may send events."""

import re
from collections.abc import Mapping

from producer_api.answers import Answer, Headers
from producer_api.paths import is_of_events

#: What may stand in a header; else the echo of it would break the answer.
_PRINTABLE = re.compile(rb"[\x20-\x7e]{1,1024}")
_A_DAY = b"86400"

METHODS = "POST, OPTIONS"


def of_origin(request: Mapping[bytes, bytes]) -> Headers:
    """Return the headers by which a browser lets the page of the Origin read the answer."""
    origin = request.get(b"origin")
    if origin is None or not _PRINTABLE.fullmatch(origin):
        return []
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"retry-after"),
        (b"vary", b"origin"),
    ]


def of_request(path: str, request: Mapping[bytes, bytes]) -> Headers:
    """Return the headers of `of_origin` where the canonical path is one of events, else none."""
    return of_origin(request) if is_of_events(path) else []


def preflight(request: Mapping[bytes, bytes]) -> Answer:
    """Return the answer to OPTIONS; the headers of the origin come with every answer."""
    wanted = request.get(b"access-control-request-headers", b"")
    if not _PRINTABLE.fullmatch(wanted):
        wanted = b"content-type, content-encoding"
    return Answer(
        204,
        [
            (b"allow", METHODS.encode()),
            (b"access-control-allow-methods", METHODS.encode()),
            (b"access-control-allow-headers", wanted),
            (b"access-control-max-age", _A_DAY),
        ],
        b"",
    )
