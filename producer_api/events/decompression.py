"""Decompresses request bodies, up to a limit."""

import sys
import zlib
from collections.abc import Callable
from functools import partial
from typing import Protocol

from producer_api.events.rejection import Rejected
from schemas.reject_reasons import RejectReason

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["DECOMPRESSORS", "GZIP", "check_size", "decompress", "zstd"]

GZIP = b"gzip"
#: Compressed bytes that are passed to the decompressor at a time.
_CHUNK_BYTES = 4096
#: The size of the window that RFC 9659 allows, 8 MiB, as a power of two: it is allocated at once.
_MAX_ZSTD_WINDOW = 23


class _Decompressor(Protocol):
    """The methods and members of decompressors of the standard library that are used here."""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream has been reached."""

    @property
    def unused_data(self) -> bytes:
        """What was passed after the end of the stream."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Return at most `max_length` bytes."""


#: Returns a decompressor by the name of the encoding in `Content-Encoding`.
DECOMPRESSORS: dict[bytes, Callable[[], _Decompressor]] = {
    GZIP: (_gzip := partial(zlib.decompressobj, 16 + zlib.MAX_WBITS)),
    b"x-gzip": _gzip,
    b"deflate": partial(zlib.decompressobj, zlib.MAX_WBITS),
    b"zstd": partial(
        zstd.ZstdDecompressor,
        options={zstd.DecompressionParameter.window_log_max: _MAX_ZSTD_WINDOW},
    ),
}


def check_size(size: int, limit: int) -> None:
    """Raise `Rejected` if a body has more than `limit` bytes."""
    if size > limit:
        raise Rejected(RejectReason.BODY_TOO_LARGE, limit=limit)


def decompress(data: bytes, limit: int, encoding: bytes = GZIP) -> bytes:
    """Decompress data, to at most `limit` bytes; raises `Rejected` if there are more."""
    content = bytearray()
    member = None
    start = 0
    while start < len(data):
        if member is None or member.eof:
            member = DECOMPRESSORS[encoding]()
        # `unused_data` is a copy: with the whole body as input, a body of many empty members
        # would be copied for each of them.
        chunk = data[start : start + _CHUNK_BYTES]
        try:
            content += member.decompress(chunk, limit + 1 - len(content))
        except (zlib.error, zstd.ZstdError):
            raise Rejected(RejectReason.BAD_GZIP) from None
        check_size(len(content), limit)
        start += len(chunk) - len(member.unused_data)
    if member is not None and not member.eof:
        raise Rejected(RejectReason.BAD_GZIP)
    return bytes(content)
