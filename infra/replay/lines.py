"""Lines of a file, each of bounded length."""

from typing import NamedTuple, Protocol, Self

from infra.replay.recorded import MAX_LINE_BYTES


class Readable(Protocol):
    """What is read: a file, or what unpacks one."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes, or what is left."""

    def readline(self, size: int, /) -> bytes:
        """Return a line with its end, but no more bytes than that."""


class Line(NamedTuple):
    """A line with its end; one over `MAX_LINE_BYTES` is its beginning, and not `whole`."""

    number: int
    data: bytes
    whole: bool


class Lines:
    """Iterates over the lines of a file, counted from one."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        #: Of the line that was read last.
        self.number = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Line:
        data = self._file.readline(MAX_LINE_BYTES)
        if not data:
            raise StopIteration
        self.number += 1
        whole = len(data) < MAX_LINE_BYTES or data.endswith(b"\n")
        if not whole:
            self._skip_to_end()
        return Line(self.number, data, whole)

    def _skip_to_end(self) -> None:
        while (rest := self._file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
            pass
