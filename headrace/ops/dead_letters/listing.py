"""Terminal output of `headrace dlq`. Texts of dead letters are untrusted."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

import msgspec
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from headrace.ops.dead_letters.dead_letter import DeadLetter, dead_letter_topics, to_letter
from headrace.ops.dead_letters.discard import Selected
from headrace.ops.dead_letters.reader import Counts, Overview, Resolutions
from headrace.ops.dead_letters.replay import OnProgress, Report
from headrace.terminal.tables import visible
from schemas import codec, money
from schemas import headers as names
from schemas.plurals import counted
from schemas.positions import offset_of
from schemas.records import RawEvent, Record
from schemas.reject_reasons import DeadLetterReason
from schemas.stages import STAGES
from schemas.topics import EVENTS_RAW

_RECORDS = {record.__name__: record for record in get_args(Record)}
_LABELS = ("id", "when (UTC)", "reason", "stage", "source", "detail")
#: The width, in characters, of a table with a column for each label.
_FULL_WIDTH = 130
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
        "Something other than headrace wrote to the source topic: headrace derives the key from "
        "the record. Find that writer; events go to POST /api/event."
    ),
    DeadLetterReason.UNKNOWN_TYPE: (
        "The api role knows an event type that this role does not: bring all roles to the same "
        "version and start them again."
    ),
    DeadLetterReason.RULE_FAILED: (
        "This is a bug in headrace. The role's log has the traceback: report it with the detail "
        "above."
    ),
    DeadLetterReason.ROW_REFUSED: (
        "The database rejected this row alone. The detail says why: compare the tables with "
        "`headrace db check`; if they do not differ, this is a bug in headrace: report it."
    ),
}
_UNKNOWN_STEP = "Something other than headrace wrote this: its reason is unknown."


def render_overview(overview: Overview, width: int) -> Iterator[RenderableType]:
    """Yield the verdict, a table of the newest dead letters and a table of the reasons.

    If `width` is small, the table has two values in a column.
    """
    yield _verdict(overview.counts)
    if not overview.counts.all:
        return
    if overview.newest:
        yield _newest(overview, width)
    (every, replayed, discarded) = overview.counts
    reasons = Table("reason", "dead letters", "replayed", "discarded")
    for column in reasons.columns[1:]:
        column.justify = "right"
    for reason, count in every.most_common():
        row = (f"{number:,}" for number in (count, replayed[reason], discarded[reason]))
        reasons.add_row(visible(reason or "none"), *row)
    reasons.add_section()
    reasons.add_row("all", *(f"{counts.total():,}" for counts in overview.counts))
    yield reasons


def _verdict(counts: Counts) -> Text:
    (every, replayed, discarded) = (numbers.total() for numbers in counts)
    if not every:
        return Text("There are no dead letters.", style="green")
    unresolved = every - replayed - discarded
    resolved = ((replayed, "replayed"), (discarded, "discarded"))
    outcomes = ", ".join(f"{count:,} {outcome}" for count, outcome in resolved if count)
    summary = f"{counted(every, 'dead letter')}{': ' if outcomes else ''}{outcomes}"
    if not unresolved:
        return Text(f"Nothing to do. {summary}.", style="green")
    do = "see `headrace dlq show ID`, fix the cause, then `headrace dlq replay` or `discard`"
    return Text(f"{counted(unresolved, 'dead letter')} to look at: {do}", style="yellow")


def _newest(overview: Overview, width: int) -> Table:
    is_narrow = width < _FULL_WIDTH
    table = Table()
    for label in _in_pairs(_LABELS) if is_narrow else _LABELS:
        table.add_column(label, overflow="fold")
    table.columns[0].no_wrap = True
    for letter in overview.newest:
        outcome = " discarded" if letter.key in overview.resolutions.discarded else ""
        outcome = " replayed" if letter.key in overview.resolutions.replayed else outcome
        cells = _cells(letter, outcome)
        table.add_row(*(_in_pairs(cells) if is_narrow else map(visible, cells)))
    return table


def _in_pairs(cells: tuple[str, ...]) -> list[Text]:
    (letter_id, when, reason, stage, source, detail) = cells
    pairs = ((letter_id,), when.split(), (reason, stage), (source, detail))
    return [Text("\n").join(map(visible, pair)) for pair in pairs]


def _cells(letter: DeadLetter, outcome: str = "") -> tuple[str, ...]:
    source = "" if letter.source is None else str(letter.source)
    when = utc(letter.at_ms) + outcome
    return (str(letter.id), when, letter.reason, letter.stage, source, letter.detail)


@contextmanager
def progress(console: Console) -> Iterator[OnProgress]:
    """Show a status line while a replay runs; nothing if there is no terminal."""
    with console.status("Reading dead letters …") as status:

        def on_progress(report: Report) -> None:
            status.update(f"{counted(report.replayed.total(), 'dead letter')}, {report.latest}")

        yield on_progress


def render_report(report: Report, *, dry_run: bool) -> Iterator[RenderableType]:
    """Yield the verdict and the table of a replay."""
    letters = counted(report.replayed.total(), "dead letter")
    more = " `headrace dlq list` shows what is rejected again." if report.replayed else ""
    yield (
        f"{letters} would be replayed. Nothing was sent."
        if dry_run
        else (f"{letters} replayed.{more}")
    )
    table = Table("dead letters", "stage", "reason", "outcome")
    table.columns[0].justify = "right"
    outcomes = (
        (report.replayed, "to be replayed" if dry_run else "replayed", "green"),
        (report.already_replayed, "were replayed before", ""),
        (report.already_discarded, "were discarded", ""),
        (report.foreign, "not ours: cannot be replayed", "red"),
    )
    for counts, outcome, style in outcomes:
        for (stage, reason), count in counts.most_common():
            cells = (visible(stage or "none"), visible(reason or "none"), Text(outcome, style))
            table.add_row(f"{count:,}", *cells)
    if table.rows:
        yield table


def render_selection(selected: Sequence[Selected], report: Report) -> Iterator[str]:
    """Yield lines that say what `headrace dlq discard` is about to do."""
    kinds = Counter((one.letter.stage, one.letter.reason) for one in selected)
    for (stage, reason), count in kinds.most_common():
        what = f"{counted(count, 'dead letter')} of {stage or 'no stage'}: {reason or 'no reason'}"
        yield str(visible(what))
    resolved = ((report.already_discarded, "discarded"), (report.already_replayed, "replayed"))
    for counts, outcome in resolved:
        if count := counts.total():
            was = "was" if count == 1 else "were"
            yield f"{counted(count, 'dead letter')} {was} {outcome} before."


def render_record(record: Any, resolutions: Resolutions) -> Iterator[RenderableType]:
    """Yield the content of one dead letter, its resolution and what to do next."""
    letter = to_letter(record)
    yield from _resolution(letter, resolutions)
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
    is_known = letter.reason in list(DeadLetterReason)
    yield NEXT_STEPS[DeadLetterReason(letter.reason)] if is_known else _UNKNOWN_STEP
    if letter.key in resolutions.discarded or letter.key in resolutions.replayed:
        return
    if letter.is_replayable:
        yield f"Once the cause is fixed: headrace dlq replay {letter.id}"
    yield f"If it is not worth a replay: headrace dlq discard {letter.id} --reason '...'"


def _resolution(letter: DeadLetter, resolutions: Resolutions) -> Iterator[Text]:
    if (discard := resolutions.discarded.get(letter.key)) is not None:
        by, reason = discard.discarded_by or "unknown", discard.discard_reason or ""
        yield visible(f"Discarded {utc(discard.log_ms)} by {by}: {reason}")
    elif (replay := resolutions.replayed.get(letter.key)) is not None:
        yield visible(
            f"Replayed {utc(replay.log_ms)}, as events-raw offset {offset_of(replay.src_offset)}"
        )


def _title(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def readable(name: str, value: bytes) -> str:
    """Return a header's value as text; an invalid one in hex."""
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
    """Format a time (ms) in UTC; one that is out of range as the number."""
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
    # A replay that a sink rejected again has the record type of its stage, not of the topic.
    stage = STAGES.get(to_letter(record).stage)
    name = stage.record if stage else dead_letter_topics()[record.topic].record
    try:
        content = codec.decode(record.value, _RECORDS[name])
    except codec.CodecError as error:
        yield visible(f"not a {name} ({counted(len(record.value), 'byte')}): {error}")
        yield hex_dump(record.value[:_HEX_BYTES])
        return
    fields = msgspec.to_builtins(content)
    if isinstance(content, RawEvent) and content.amount is not None:
        fields["amount"] = money.format_decimal(content.amount, content.currency)
    text = json.dumps(fields, indent=2, ensure_ascii=False)
    yield f"a {name}"
    for line in text.splitlines():
        yield visible(line)


def hex_dump(data: bytes) -> Text:
    """Return a hex dump: lines of offset, hex and ASCII."""
    lines = []
    for begin in range(0, len(data), _HEX_COLUMNS):
        part = data[begin : begin + _HEX_COLUMNS]
        ascii_text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)  # noqa: PLR2004
        lines.append(f"{begin:04x}  {part.hex(' '):<{_HEX_COLUMNS * 3}} {ascii_text}")
    return Text("\n".join(lines))
