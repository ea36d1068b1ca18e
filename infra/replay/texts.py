"""Text files of any encoding and line end, read in lines of bounded length."""

import codecs
import io
from collections.abc import Iterator
from typing import Any, NamedTuple, TextIO

from infra.errors import UserError

#: The longest line, characters. An event may have 64 KiB, so the server rejects what is cut here.
MAX_LINE = 256 * 1024

_BUFFER_BYTES = 256 * 1024
#: Those of UTF-32 first: that of little-endian UTF-16 is the beginning of one.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: What is often taken for a text file, by how it begins.
_OTHERS = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook: unpack it, or save the sheet as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "an Excel workbook: save the sheet as CSV UTF-8",
    b"PAR1": "a Parquet file: export it as CSV or JSON lines",
    b"Obj\x01": "an Avro file: export it as CSV or JSON lines",
    b"ORC": "an ORC file: export it as CSV or JSON lines",
    b"SQLite format 3\x00": "an SQLite database: export a table as CSV or JSON lines",
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it, or pack it by gzip",
    b"\xfd7zXZ\x00": "packed by xz: unpack it, or pack it by gzip",
    b"BZh": "packed by bzip2: unpack it, or pack it by gzip",
}


class Line(NamedTuple):
    """A line with its end; one over `MAX_LINE` is its beginning, and not `whole`."""

    number: int
    text: str
    whole: bool = True


def open_text(name: str, file: Any) -> tuple[TextIO, str]:
    """Return a binary file as text without a byte order mark, and its beginning.

    Bytes that are not UTF-8, in a file that is not UTF-16 or UTF-32, become surrogate escapes.
    `UserError` when the file is obviously no text. `file` has `peek`.
    """
    beginning = file.peek(_BUFFER_BYTES)
    for magic, sentence in _OTHERS.items():
        if beginning.startswith(magic):
            raise UserError(f"{name} is {sentence}")
    encoding = _encoding(beginning)
    errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
    # As old programs of the Macintosh end lines, Excel's "CSV (Macintosh)" among them.
    start = beginning.decode(encoding, "replace")
    is_old = "\r" in start and "\n" not in start
    return io.TextIOWrapper(file, encoding, errors, newline=None if is_old else "\n"), start


def read_lines(file: TextIO) -> Iterator[Line]:
    """Yield the lines, counted from one."""
    number = 0
    while text := file.readline(MAX_LINE):
        number += 1
        rest = text
        while len(rest) == MAX_LINE and not rest.endswith("\n"):
            rest = file.readline(MAX_LINE)
        yield Line(number, text, whole=rest is text)


def to_bytes(text: str) -> bytes:
    """Return UTF-8, with the bytes of the file where they are not."""
    return text.encode("utf-8", "surrogateescape")


def _encoding(beginning: bytes) -> str:
    for mark, encoding in _MARKS:
        if beginning.startswith(mark):
            return encoding
    # Without a mark: all formats begin with ASCII characters.
    (first, second) = (beginning[:4:2], beginning[1:4:2])
    if len(second) == 2 and first.isascii() and second.isascii():  # noqa: PLR2004 - two characters
        if all(first) and not any(second):
            return "utf-16-le"
        if all(second) and not any(first):
            return "utf-16-be"
    return "utf-8"
