"""Reads request bodies, up to a limit.

`connections.py` closes the connection of a client that sends its body too slowly.
"""

from collections.abc import Awaitable, Callable, Container, Mapping
from typing import Any

from producer_api.events.decompression import check_size, decompress
from producer_api.events.rejection import RejectedEarly, shorten
from schemas.reject_reasons import RejectReason

Receive = Callable[[], Awaitable[Any]]

MAX_EVENT_BYTES = 64 * 1024
MAX_BATCH_BYTES = 2 * 1024 * 1024

_IDENTITY = frozenset({b"", b"identity"})
_GZIP = frozenset({b"gzip", b"x-gzip"})


class Disconnected(Exception):  # noqa: N818 - not an error of the server
    """The client disconnected before its request was complete."""


async def read_body(
    receive: Receive,
    headers: Mapping[bytes, bytes],
    limit: int,
    encodings: Container[bytes] = _GZIP,
) -> bytes:
    """Return the decompressed body; raises `Rejected` as soon as it exceeds `limit` bytes.

    `encodings` are the accepted values of `Content-Encoding`, next to `identity`.
    """
    encoding = headers.get(b"content-encoding", b"").strip().lower()
    if encoding not in _IDENTITY and encoding not in encodings:
        raise RejectedEarly(
            RejectReason.UNSUPPORTED_ENCODING, value=shorten(encoding.decode("ascii", "replace"))
        )
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > limit:
        raise RejectedEarly(RejectReason.BODY_TOO_LARGE, limit=limit)
    body = await _receive_all(receive, limit)
    return body if encoding in _IDENTITY else decompress(body, limit, encoding)


async def _receive_all(receive: Receive, limit: int) -> bytes:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        # Nearly every body is a single message, which is not copied.
        body: bytes = message.get("body", b"")
        check_size(len(body), limit)
        return body
    content = bytearray()
    while message["type"] == "http.request":
        content += message.get("body", b"")
        if not message.get("more_body"):
            check_size(len(content), limit)
            return bytes(content)
        if len(content) > limit:
            raise RejectedEarly(RejectReason.BODY_TOO_LARGE, limit=limit)
        message = await receive()
    raise Disconnected
