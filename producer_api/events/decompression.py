"""Decompresses request bodies, up to a limit."""

import zlib

from producer_api.events.rejection import Rejected
from schemas.reject_reasons import RejectReason

_GZIP_WINDOW = 16 + zlib.MAX_WBITS
#: Compressed bytes that are passed to the decompressor at a time.
_CHUNK_BYTES = 4096


def check_size(size: int, limit: int) -> None:
    """Raise `Rejected` if a body has more than `limit` bytes."""
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
        check_size(len(content), limit)
        start += len(chunk) - len(member.unused_data)
    if member is not None and not member.eof:
        raise Rejected(RejectReason.BAD_GZIP)
    return bytes(content)
