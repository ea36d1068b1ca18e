"""A limit on the bytes of all request bodies that are being received or processed.

The limits of a body and of connections alone would admit thousands of large bodies at once. Small
bodies are not counted: they cost nothing here, and are accepted while large ones are rejected.
"""

from types import TracebackType
from typing import Self

#: Bodies of up to this size are not counted; the limit of connections limits their sum.
SMALL_BYTES = 16 * 1024
#: The part (1/n) of the limit that incomplete bodies leave to complete ones, so that slow clients
#: do not lock out all others.
_COMPLETE_DIVISOR = 4


class BodyBytes:
    """The bytes of the bodies of all requests of a process, and their limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0


class BodyReservation:
    """The part of `BodyBytes` that one request, or one pipeline, uses; released on exit."""

    __slots__ = ("_bytes", "_size")

    def __init__(self, body_bytes: BodyBytes) -> None:
        self._bytes = body_bytes
        self._size = 0

    def resize(self, size: int, *, is_incomplete: bool = False) -> bool:
        """Use `size` bytes instead of the current ones; return False if that exceeds the limit."""
        if size <= SMALL_BYTES:
            size = 0
        growth = size - self._size
        if growth > 0:
            limit = self._bytes.limit
            if is_incomplete:
                limit -= limit // _COMPLETE_DIVISOR
            if self._bytes.used + growth > limit:
                return False
        self._bytes.used += growth
        self._size = size
        return True

    def release(self) -> None:
        """Use no bytes any more."""
        self._bytes.used -= self._size
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
