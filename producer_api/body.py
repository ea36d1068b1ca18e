"""The body of a request: read while it comes in, unpacked, and never over its limit.

A body that comes too slowly is ended by `connections.py`, which closes the connection.
"""

import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from producer_api.rejected import Rejected, Unread, shown
from schemas.reject_reasons import RejectReason

Receive = Callable[[], Awaitable[Any]]

MAX_EVENT_BYTES = 64 * 1024
MAX_BATCH_BYTES = 2 * 1024 * 1024

_UNPACKED = frozenset({b"", b"identity"})
_GZIP = frozenset({b"gzip", b"x-gzip"})
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
#: What is unpacked in one go.
_PIECE_BYTES = 4096


class Disconnected(Exception):  # noqa: N818 - it is an outcome, and no fault of anyone here
    """The client went away before its request was whole; there is nobody to answer."""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """Return the body, unpacked; `Rejected` as soon as it is known to be over the limit."""
    encoding = headers.get(b"content-encoding", b"").strip().lower()
    if encoding not in _UNPACKED and encoding not in _GZIP:
        raise Unread(
            RejectReason.UNSUPPORTED_ENCODING, value=shown(encoding.decode("ascii", "replace"))
        )
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > limit:
        raise Unread(RejectReason.BODY_TOO_LARGE, limit=limit)
    body = await _receive_all(receive, limit)
    return unpack(body, limit) if encoding in _GZIP else body


async def _receive_all(receive: Receive, limit: int) -> bytes:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        # Nearly every body is one piece: it is not copied.
        body: bytes = message.get("body", b"")
        _check(len(body), limit)
        return body
    whole = bytearray()
    while message["type"] == "http.request":
        whole += message.get("body", b"")
        if not message.get("more_body"):
            _check(len(whole), limit)
            return bytes(whole)
        if len(whole) > limit:
            raise Unread(RejectReason.BODY_TOO_LARGE, limit=limit)
        message = await receive()
    raise Disconnected


def _check(size: int, limit: int) -> None:
    if size > limit:
        raise Rejected(RejectReason.BODY_TOO_LARGE, limit=limit)


def unpack(packed: bytes, limit: int) -> bytes:
    """Return what gzip packed, of which no more than the limit is ever unpacked."""
    whole = bytearray()
    member = None
    begin = 0
    while begin < len(packed):
        if member is None or member.eof:
            member = zlib.decompressobj(_GZIP_WINDOW)
        # The end of each member copies what is left of its piece: all of the body would be
        # copied a hundred thousand times when it is nothing but empty members.
        piece = packed[begin : begin + _PIECE_BYTES]
        try:
            whole += member.decompress(piece, limit + 1 - len(whole))
        except zlib.error:
            raise Rejected(RejectReason.BAD_GZIP) from None
        _check(len(whole), limit)
        begin += len(piece) - len(member.unused_data)
    if member is not None and not member.eof:
        raise Rejected(RejectReason.BAD_GZIP)
    return bytes(whole)
