"""What `headrace dlq` shows. Every text here may be a stranger's."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

import msgspec
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from infra.dead_letters import DeadLetter, Overview, to_letter
from infra.tables import visible
from schemas import codec
from schemas import headers as names
from schemas.records import Record
from schemas.reject_reasons import DeadLetterReason
from schemas.topics import DEAD_LETTERS, EVENTS_RAW

_RECORDS = {record.__name__: record for record in get_args(Record)}
_LABELS = ("id", "when (UTC)", "reason", "stage", "source", "detail")
#: A table with a column for each label needs this, in characters.
_WIDTH_OF_ALL = 130
_HEX_BYTES = 256
_HEX_COLUMNS = 16

#: What to do about a dead letter, by its reason.
NEXT_STEPS: dict[DeadLetterReason, str] = {
    DeadLetterReason.UNDECODABLE: (
        "Something other than headrace, or a newer version of it, wrote to the source topic. Stop "
        "that writer, or bring all roles to the newest version."
    ),
    DeadLetterReason.BAD_HEADERS: (
        "Something other than headrace wrote to the source topic: only headrace may. Find that "
        "writer; events go to POST /api/event."
    ),
    DeadLetterReason.BAD_KEY: (
        "Something other than headrace wrote to the source topic, for headrace makes the key of "
        "what is in the record. Find that writer; events go to POST /api/event."
    ),
    DeadLetterReason.UNKNOWN_TYPE: (
        "The api role knows an event type that this role does not: bring all roles to the same "
        "version and start them again."
    ),
    DeadLetterReason.RULE_FAILED: (
        "This is a fault of headrace. The role's log has the traceback: report it with the detail "
        "above."
    ),
    DeadLetterReason.ROW_REFUSED: (
        "The database refused this row alone. The detail says why: compare the tables with "
        "`headrace db check`; what it does not explain is a fault of headrace, to be reported."
    ),
}
_UNKNOWN_STEP = "Something other than headrace put this here, for it has no reason that is known."


def quiet() -> None:
    """Keep aiokafka from writing to the terminal what is told in a sentence anyway."""
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())


def of_overview(overview: Overview, width: int) -> Iterator[RenderableType]:
    """Give the table of the newest and that of the reasons, or a sentence when there are none.

    Where `width` is small, two things share a column.
    """
    if not overview.newest:
        yield "There are no dead letters."
        return
    is_narrow = width < _WIDTH_OF_ALL
    table = Table()
    for label in _in_pairs(_LABELS) if is_narrow else _LABELS:
        table.add_column(label, overflow="fold")
    table.columns[0].no_wrap = True
    for letter in overview.newest:
        cells = _cells(letter)
        table.add_row(*(_in_pairs(cells) if is_narrow else map(visible, cells)))
    yield table
    reasons = Table("reason", "dead letters")
    reasons.columns[1].justify = "right"
    for reason, count in overview.by_reason.most_common():
        reasons.add_row(visible(reason or "none"), f"{count:,}")
    reasons.add_section()
    reasons.add_row("all", f"{overview.by_reason.total():,}")
    yield reasons


def _in_pairs(cells: tuple[str, ...]) -> list[Text]:
    (letter_id, when, reason, stage, source, detail) = cells
    pairs = ((letter_id,), when.split(), (reason, stage), (source, detail))
    return [Text("\n").join(map(visible, pair)) for pair in pairs]


def _cells(letter: DeadLetter) -> tuple[str, ...]:
    source = "" if letter.source is None else str(letter.source)
    when = utc(letter.at_ms)
    return (str(letter.id), when, letter.reason, letter.stage, source, letter.detail)


def of_record(record: Any) -> Iterator[RenderableType]:
    """Give all that is known of one dead letter, and what to do next."""
    letter = to_letter(record)
    about = Table.grid(padding=(0, 2))
    for label, cell in zip(_LABELS, _cells(letter), strict=True):
        about.add_row(Text(label, style="bold"), visible(cell))
    yield about
    yield _title("Headers")
    table = Table.grid(padding=(0, 2))
    for name, value in record.headers:
        table.add_row(visible(name), visible(readable(name, value)))
    yield table if record.headers else "none"
    yield _title("Key")
    yield "none" if record.key is None else visible(_text_or_hex(record.key))
    yield _title("Value")
    yield from _value(record)
    yield _title("What to do")
    yield _next_step(letter.reason)


def _title(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def readable(name: str, value: bytes) -> str:
    """Return a header's value for people; one that is not as it should be in hex."""
    try:
        if name == names.EVENT_ID:
            return str(UUID(bytes=value))
        if name == names.CLIENT_ID:
            return "the client chose the id"
        if name == names.SOURCE:
            (partition, offset, log_ms) = names.Source.unpack(value)
            return f"{EVENTS_RAW.name}/{partition}/{offset}, at {utc(log_ms)}"
    except ValueError:
        return value.hex(" ")
    if name == names.DLQ_AT and value.isdigit():
        return f"{value.decode()} ({utc(int(value))})"
    return _text_or_hex(value)


def utc(ms: int) -> str:
    """Return a time as people read it; one beyond all calendars as it is."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"


def _text_or_hex(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex(" ")


def _value(record: Any) -> Iterator[RenderableType]:
    if record.value is None:
        yield "none: a tombstone"
        return
    name = next(topic.record for topic in DEAD_LETTERS if topic.name == record.topic)
    try:
        content = codec.decode(record.value, _RECORDS[name])
    except codec.CodecError as error:
        yield visible(f"{len(record.value):,} bytes that are no {name}: {error}")
        yield hex_dump(record.value[:_HEX_BYTES])
        return
    text = json.dumps(msgspec.to_builtins(content), indent=2, ensure_ascii=False)
    yield f"a {name}"
    for line in text.splitlines():
        yield visible(line)


def hex_dump(data: bytes) -> Text:
    """Return bytes as lines of offset, hex and ASCII."""
    lines = []
    for begin in range(0, len(data), _HEX_COLUMNS):
        part = data[begin : begin + _HEX_COLUMNS]
        ascii_text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)  # noqa: PLR2004
        lines.append(f"{begin:04x}  {part.hex(' '):<{_HEX_COLUMNS * 3}} {ascii_text}")
    return Text("\n".join(lines))


def _next_step(reason: str) -> str:
    try:
        return NEXT_STEPS[DeadLetterReason(reason)]
    except ValueError:
        return _UNKNOWN_STEP
