"""Reads and decompresses request bodies, up to a limit.

`connections.py` closes the connection of a client that sends its body too slowly.
"""

import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from producer_api.events.rejection import Rejected, RejectedEarly, shorten
from schemas.reject_reasons import RejectReason

Receive = Callable[[], Awaitable[Any]]

MAX_EVENT_BYTES = 64 * 1024
MAX_BATCH_BYTES = 2 * 1024 * 1024

_IDENTITY = frozenset({b"", b"identity"})
_GZIP = frozenset({b"gzip", b"x-gzip"})
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
#: Compressed bytes that are passed to the decompressor at a time.
_CHUNK_BYTES = 4096


class Disconnected(Exception):  # noqa: N818 - not an error of the server
    """The client disconnected before its request was complete."""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """Return the decompressed body; raises `Rejected` as soon as it exceeds `limit` bytes."""
    encoding = headers.get(b"content-encoding", b"").strip().lower()
    if encoding not in _IDENTITY and encoding not in _GZIP:
        raise RejectedEarly(
            RejectReason.UNSUPPORTED_ENCODING, value=shorten(encoding.decode("ascii", "replace"))
        )
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > limit:
        raise RejectedEarly(RejectReason.BODY_TOO_LARGE, limit=limit)
    body = await _receive_all(receive, limit)
    return decompress(body, limit) if encoding in _GZIP else body


async def _receive_all(receive: Receive, limit: int) -> bytes:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        # Nearly every body is a single message, which is not copied.
        body: bytes = message.get("body", b"")
        _check_size(len(body), limit)
        return body
    content = bytearray()
    while message["type"] == "http.request":
        content += message.get("body", b"")
        if not message.get("more_body"):
            _check_size(len(content), limit)
            return bytes(content)
        if len(content) > limit:
            raise RejectedEarly(RejectReason.BODY_TOO_LARGE, limit=limit)
        message = await receive()
    raise Disconnected


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise Rejected(RejectReason.BODY_TOO_LARGE, limit=limit)


def decompress(data: bytes, limit: int) -> bytes:
    """Decompress gzip, at most `limit` bytes; raises `Rejected` if there are more."""
    content = bytearray()
    member = None
    start = 0
    while start < len(data):
        if member is None or member.eof:
            member = zlib.decompressobj(_GZIP_WINDOW)
        # `unused_data` is a copy: with the whole body as input, a body of many empty members
        # would be copied for each of them.
        chunk = data[start : start + _CHUNK_BYTES]
        try:
            content += member.decompress(chunk, limit + 1 - len(content))
        except zlib.error:
            raise Rejected(RejectReason.BAD_GZIP) from None
        _check_size(len(content), limit)
        start += len(chunk) - len(member.unused_data)
    if member is not None and not member.eof:
        raise Rejected(RejectReason.BAD_GZIP)
    return bytes(content)
