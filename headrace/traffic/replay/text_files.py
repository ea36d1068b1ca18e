"""Read lines of bounded length from text files of any encoding and line end."""

import codecs
import io
from collections.abc import Iterator
from typing import Any, NamedTuple, TextIO

from headrace.errors import UserError

#: Maximum characters per line. Longer lines are truncated; the server rejects events over 64 KiB.
MAX_LINE = 256 * 1024

_BUFFER_BYTES = 256 * 1024
#: UTF-32 before UTF-16: the byte order mark of UTF-32-LE begins with that of UTF-16-LE.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: Unsupported formats, by their first bytes.
_UNSUPPORTED = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook: unpack it, or save the sheet as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "an Excel workbook: save the sheet as CSV UTF-8",
    b"PAR1": "a Parquet file: export it as CSV or JSON lines",
    b"Obj\x01": "an Avro file: export it as CSV or JSON lines",
    b"ORC": "an ORC file: export it as CSV or JSON lines",
    b"SQLite format 3\x00": "an SQLite database: export a table as CSV or JSON lines",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: decompress it, or use gzip",
    b"\xfd7zXZ\x00": "compressed with xz: decompress it, or use gzip",
    b"BZh": "compressed with bzip2: decompress it, or use gzip",
}


class Line(NamedTuple):
    """A line with its line end. Lines over `MAX_LINE` are truncated, and not `is_complete`."""

    number: int
    text: str
    is_complete: bool = True


def open_text(name: str, file: Any) -> tuple[TextIO, str]:
    """Open a binary file, which has `peek`, as text; return it and its first characters.

    A byte order mark is removed. Invalid UTF-8 becomes surrogate escapes. Raises `UserError` if the
    file has an unsupported binary format.
    """
    beginning = file.peek(_BUFFER_BYTES)
    for magic, sentence in _UNSUPPORTED.items():
        if beginning.startswith(magic):
            raise UserError(f"{name} is {sentence}")
    encoding = _encoding(beginning)
    errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
    # Line ends of classic Mac OS, as in Excel's format "CSV (Macintosh)".
    start = beginning.decode(encoding, "replace")
    has_cr = "\r" in start and "\n" not in start
    return io.TextIOWrapper(file, encoding, errors, newline=None if has_cr else "\n"), start


def read_lines(file: TextIO) -> Iterator[Line]:
    """Yield the lines, numbered from one."""
    number = 0
    while text := file.readline(MAX_LINE):
        number += 1
        rest = text
        while len(rest) == MAX_LINE and not rest.endswith("\n"):
            rest = file.readline(MAX_LINE)
        yield Line(number, text, is_complete=rest is text)


def to_bytes(text: str) -> bytes:
    """Encode as UTF-8; surrogate escapes become the original bytes."""
    return text.encode("utf-8", "surrogateescape")


def _encoding(beginning: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if beginning.startswith(mark):
            return encoding
    # Without a byte order mark, assume that the file begins with ASCII characters.
    (first, second) = (beginning[:4:2], beginning[1:4:2])
    if len(second) == 2 and first.isascii() and second.isascii():  # noqa: PLR2004 - two characters
        if all(first) and not any(second):
            return "utf-16-le"
        if all(second) and not any(first):
            return "utf-16-be"
    return "utf-8"
