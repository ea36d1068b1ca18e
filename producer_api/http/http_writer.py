"""Writing to a connection and configuring its socket without uvicorn."""

import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from producer_api.events.rejection import Rejected
from producer_api.http import cors, responses
from producer_api.http.paths import is_event_path, route_path
from producer_api.http.responses import Headers, Response
from schemas.reject_reasons import RejectReason

#: The send buffer of an SSE stream: a slow client should not get many outdated events.
STREAM_BUFFER_BYTES = 8 * 1024

_CLOSE = (b"connection", b"close")


def limit_send_buffer(transport: Any) -> None:
    """Limit the socket's send buffer, and pause writing as soon as it is full."""
    if transport.is_closing():
        return
    connected = transport.get_extra_info("socket")
    with suppress(OSError):  # it was closed just now
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, STREAM_BUFFER_BYTES)
    transport.set_write_buffer_limits(high=0)


def reject_over_limit(app: Any, count: Callable[[str, RejectReason], None]) -> Any:
    """Wrap an application for a connection over the limit: API requests get 503, others pass.

    `count` is called with the path and the reason of each 503.
    """

    async def rejecting(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        path = route_path(scope["path"])
        # If the preflight failed, the page could not read the response to its request.
        is_preflight = scope["method"] == "OPTIONS" and is_event_path(path)
        if is_preflight or not path.startswith("/api/"):
            await app(scope, receive, send)
            return
        count(path, RejectReason.OVERLOADED)
        response = responses.error_response(Rejected(RejectReason.OVERLOADED))
        response = response.with_headers(*cors.response_headers(path, dict(scope["headers"])))
        await send(
            {"type": "http.response.start", "status": response.status, "headers": response.headers}
        )
        await send({"type": "http.response.body", "body": response.body})

    return rejecting


def target_path(target: bytes) -> str:
    """Return the canonical path of a request target; "" if it is incomplete or invalid."""
    try:
        return route_path(unquote((httptools.parse_url(target).path or b"").decode("ascii")))
    except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
        return ""


def serialize(response: Response, more: Headers, *, closes: bool) -> bytes:
    """Return a response as HTTP/1.1, with more headers, and `Connection: close` if it `closes`."""
    headers = [*more, *response.headers, _CLOSE] if closes else more + response.headers
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"".join([STATUS_LINE[response.status], *lines, b"\r\n", response.body])
