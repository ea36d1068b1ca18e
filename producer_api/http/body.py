"""Reads request bodies, up to limits of each and of all.

`connections.py` closes the connection of a client that sends its body too slowly.
"""

import asyncio
from collections.abc import Awaitable, Callable, Container, Mapping
from typing import Any

from producer_api.events.decompression import check_size, decompress
from producer_api.events.rejection import Rejected, RejectedEarly, shorten
from producer_api.http.body_bytes import SMALL_BYTES, BodyReservation
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
    reservation: BodyReservation,
    encodings: Container[bytes] = _GZIP,
) -> bytes:
    """Return the decompressed body; raises `Rejected` as soon as it exceeds `limit` bytes.

    It also raises `Rejected` (OVERLOADED) if all bodies together, by `reservation`, exceed their
    limit. `encodings` are the accepted values of `Content-Encoding`, next to `identity`.
    """
    encoding = headers.get(b"content-encoding", b"").strip().lower()
    if encoding not in _IDENTITY and encoding not in encodings:
        raise RejectedEarly(
            RejectReason.UNSUPPORTED_ENCODING, value=shorten(encoding.decode("ascii", "replace"))
        )
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > limit:
        raise RejectedEarly(RejectReason.BODY_TOO_LARGE, limit=limit)
    body = await _receive_all(receive, limit, reservation)
    if encoding in _IDENTITY:
        return body
    if len(body) <= SMALL_BYTES:
        content = decompress(body, limit, encoding)
    else:  # it takes up to 30 ms
        content = await asyncio.to_thread(decompress, body, limit, encoding)
    _reserve(reservation, len(content))
    return content


async def _receive_all(receive: Receive, limit: int, reservation: BodyReservation) -> bytes:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        # Nearly every body is a single message, which is not copied.
        body: bytes = message.get("body", b"")
        check_size(len(body), limit)
        _reserve(reservation, len(body))
        return body
    content = bytearray()
    while message["type"] == "http.request":
        content += message.get("body", b"")
        if not message.get("more_body"):
            check_size(len(content), limit)
            _reserve(reservation, len(content))
            return bytes(content)
        if len(content) > limit:
            raise RejectedEarly(RejectReason.BODY_TOO_LARGE, limit=limit)
        if not reservation.resize(len(content), is_incomplete=True):
            raise RejectedEarly(RejectReason.OVERLOADED)
        message = await receive()
    raise Disconnected


def _reserve(reservation: BodyReservation, size: int) -> None:
    if not reservation.resize(size):
        raise Rejected(RejectReason.OVERLOADED)
