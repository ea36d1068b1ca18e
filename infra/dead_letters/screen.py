"""What `headrace dlq` shows. Every text here may be a stranger's."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

import msgspec
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from infra.dead_letters.letter import TOPICS, DeadLetter, to_letter
from infra.dead_letters.read import Overview
from infra.dead_letters.replay import Look, Report
from infra.tables import visible
from schemas import codec
from schemas import headers as names
from schemas.records import Record
from schemas.reject_reasons import DeadLetterReason
from schemas.stages import STAGES
from schemas.topics import EVENTS_RAW

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
        cells = _cells(letter, is_replayed=letter.name in overview.replayed)
        table.add_row(*(_in_pairs(cells) if is_narrow else map(visible, cells)))
    yield table
    (every, replayed) = overview.counts
    reasons = Table("reason", "dead letters", "of them replayed")
    for column in reasons.columns[1:]:
        column.justify = "right"
    for reason, count in every.most_common():
        reasons.add_row(visible(reason or "none"), f"{count:,}", f"{replayed[reason]:,}")
    reasons.add_section()
    reasons.add_row("all", f"{every.total():,}", f"{replayed.total():,}")
    yield reasons


def _in_pairs(cells: tuple[str, ...]) -> list[Text]:
    (letter_id, when, reason, stage, source, detail) = cells
    pairs = ((letter_id,), when.split(), (reason, stage), (source, detail))
    return [Text("\n").join(map(visible, pair)) for pair in pairs]


def _cells(letter: DeadLetter, *, is_replayed: bool = False) -> tuple[str, ...]:
    source = "" if letter.source is None else str(letter.source)
    when = utc(letter.at_ms) + (" replayed" if is_replayed else "")
    return (str(letter.id), when, letter.reason, letter.stage, source, letter.detail)


@contextmanager
def progress(console: Console) -> Iterator[Look]:
    """Show a line while a replay runs, where there is a terminal."""
    with console.status("Reading dead letters …") as status:

        def look(report: Report) -> None:
            status.update(f"{report.replayed.total():,} dead letters, {report.latest}")

        yield look


def of_report(report: Report, *, dry_run: bool) -> Table:
    """Give the table of a replay."""
    table = Table("dead letters", "stage", "reason", "what became of them")
    table.columns[0].justify = "right"
    outcomes = (
        (report.replayed, "to be replayed" if dry_run else "replayed", "green"),
        (report.before, "were replayed before", ""),
        (report.strange, "not ours: cannot be replayed", "red"),
    )
    for counts, outcome, style in outcomes:
        for (stage, reason), count in counts.most_common():
            told = (visible(stage or "none"), visible(reason or "none"), Text(outcome, style))
            table.add_row(f"{count:,}", *told)
    table.add_section()
    table.add_row(f"{report.replayed.total():,}", "", "", outcomes[0][1])
    return table


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
    if letter.replayable:
        yield f"Once the cause is mended: headrace dlq replay {letter.id}"


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
    # A replay that a sink refused again is of its stage's record, not of the topic's.
    stage = STAGES.get(to_letter(record).stage)
    name = stage.record if stage else TOPICS[record.topic].record
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
