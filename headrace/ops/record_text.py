"""Records of any topic as text: decoded values, readable headers, hex dumps."""

from collections.abc import Callable
from typing import Any, get_args
from uuid import UUID

import msgspec
from rich.text import Text

from headrace.terminal.times import utc
from schemas import codec, money
from schemas import headers as names
from schemas.records import RawEvent, Record
from schemas.topics import EVENTS_RAW

_RECORDS = {record.__name__: record for record in get_args(Record)}
_HEX_COLUMNS = 16


def decoded(value: bytes, record: str) -> dict[str, Any]:
    """Return the fields of a value by the name of its record. Raises `CodecError`."""
    content = codec.decode(value, _RECORDS[record])
    fields: dict[str, Any] = msgspec.to_builtins(content)
    if isinstance(content, RawEvent) and content.amount is not None:
        fields["amount"] = money.format_decimal(content.amount, content.currency)
    return fields


def readable(name: str, value: bytes) -> str:
    """Return the value of a header as text, or in hex if it is invalid."""
    if name == names.CLIENT_ID:
        return "the client assigned the event id"
    if name == names.DLQ_AT and value.isdigit():
        return f"{value.decode()} ({utc(int(value))})"
    if name not in _BINARY:
        return text_or_hex(value)
    try:
        return _BINARY[name](value)
    except ValueError:
        return value.hex(" ")


def _source(value: bytes) -> str:
    (partition, offset, log_ms) = names.Source.unpack(value)
    return f"{EVENTS_RAW.name}/{partition}/{offset}, at {utc(log_ms)}"


def _counted(value: bytes) -> str:
    ages = names.unpack_counted(value).items()
    return ", ".join(f"partition {number} until {age} ms before" for number, age in ages)


#: The headers that are not text. The functions raise ValueError for invalid values.
_BINARY: dict[str, Callable[[bytes], str]] = {
    names.EVENT_ID: lambda value: str(UUID(bytes=value)),
    names.SOURCE: _source,
    names.COUNTED: _counted,
}


def text_or_hex(value: bytes) -> str:
    """Return UTF-8 text, or hex if it is none."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex(" ")


def hex_dump(data: bytes) -> Text:
    """Return a hex dump: lines of offset, hex and ASCII."""
    lines = []
    for begin in range(0, len(data), _HEX_COLUMNS):
        part = data[begin : begin + _HEX_COLUMNS]
        ascii_text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)  # noqa: PLR2004
        lines.append(f"{begin:04x}  {part.hex(' '):<{_HEX_COLUMNS * 3}} {ascii_text}")
    return Text("\n".join(lines))
