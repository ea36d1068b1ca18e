"""What is written to a connection, or set on it, without uvicorn."""

import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from producer_api import answers, cors
from producer_api.answers import Answer, Headers
from producer_api.paths import is_of_events, route_path
from producer_api.rejected import Rejected
from schemas.reject_reasons import RejectReason

#: Of an answer that does not end: what is over when it is read need not have been kept.
STREAM_BUFFER_BYTES = 8 * 1024

_CLOSE = (b"connection", b"close")


def keep_little(transport: Any) -> None:
    """Let the system keep little for the client, and ourselves nothing that it has no room for."""
    if transport.is_closing():  # the client has gone, and the socket with it
        return
    made = transport.get_extra_info("socket")
    with suppress(OSError):  # it goes now
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, STREAM_BUFFER_BYTES)
    transport.set_write_buffer_limits(high=0)


def when_full(app: Any) -> Any:
    """Return the application for a connection too many: it says so, but tells its health."""

    async def full(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        path = route_path(scope["path"])
        # A preflight that fails would hide the rejection of the request from the page.
        is_preflight = scope["method"] == "OPTIONS" and is_of_events(path)
        if is_preflight or not path.startswith("/api/"):
            await app(scope, receive, send)
            return
        answer = answers.refusal(Rejected(RejectReason.OVERLOADED))
        answer = answer.with_headers(*cors.of_request(path, dict(scope["headers"])))
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        )
        await send({"type": "http.response.body", "body": answer.body})

    return full


def path_of(target: bytes) -> str:
    """Return the canonical path of a request's target; empty of one that is not whole or wrong."""
    try:
        return route_path(unquote((httptools.parse_url(target).path or b"").decode("ascii")))
    except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
        return ""


def wire(answer: Answer, more: Headers, *, closes: bool) -> bytes:
    """Return an answer as it goes over the wire, where uvicorn is not asked to write it."""
    headers = [*more, *answer.headers, _CLOSE] if closes else more + answer.headers
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"".join([STATUS_LINE[answer.status], *lines, b"\r\n", answer.body])
