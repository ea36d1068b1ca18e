"""What `headrace dlq` shows. Every text here may be a stranger's."""

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

from infra.dead_letters.discard import Selected
from infra.dead_letters.letter import DeadLetter, dead_letter_topics, to_letter
from infra.dead_letters.read import Counts, Overview, Settled
from infra.dead_letters.replay import Look, Report
from infra.tables import visible
from schemas import codec, money
from schemas import headers as names
from schemas.counted import counted
from schemas.positions import offset_of
from schemas.records import RawEvent, Record
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


def of_overview(overview: Overview, width: int) -> Iterator[RenderableType]:
    """Give the verdict, the table of the newest and that of the reasons.

    Where `width` is small, two things share a column.
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
    left = every - replayed - discarded
    settled = ((replayed, "replayed"), (discarded, "discarded"))
    done = ", ".join(f"{count:,} {what}" for count, what in settled if count)
    summary = f"{counted(every, 'dead letter')}{': ' if done else ''}{done}"
    if not left:
        return Text(f"Nothing to do. {summary}.", style="green")
    do = "see `headrace dlq show ID`, fix the cause, then `headrace dlq replay` or `discard`"
    return Text(f"{counted(left, 'dead letter')} to look at: {do}", style="yellow")


def _newest(overview: Overview, width: int) -> Table:
    is_narrow = width < _WIDTH_OF_ALL
    table = Table()
    for label in _in_pairs(_LABELS) if is_narrow else _LABELS:
        table.add_column(label, overflow="fold")
    table.columns[0].no_wrap = True
    for letter in overview.newest:
        done = " discarded" if letter.name in overview.settled.discarded else ""
        done = " replayed" if letter.name in overview.settled.replayed else done
        cells = _cells(letter, done)
        table.add_row(*(_in_pairs(cells) if is_narrow else map(visible, cells)))
    return table


def _in_pairs(cells: tuple[str, ...]) -> list[Text]:
    (letter_id, when, reason, stage, source, detail) = cells
    pairs = ((letter_id,), when.split(), (reason, stage), (source, detail))
    return [Text("\n").join(map(visible, pair)) for pair in pairs]


def _cells(letter: DeadLetter, done: str = "") -> tuple[str, ...]:
    source = "" if letter.source is None else str(letter.source)
    when = utc(letter.at_ms) + done
    return (str(letter.id), when, letter.reason, letter.stage, source, letter.detail)


@contextmanager
def progress(console: Console) -> Iterator[Look]:
    """Show a line while a replay runs, where there is a terminal."""
    with console.status("Reading dead letters …") as status:

        def look(report: Report) -> None:
            status.update(f"{counted(report.replayed.total(), 'dead letter')}, {report.latest}")

        yield look


def of_report(report: Report, *, dry_run: bool) -> Iterator[RenderableType]:
    """Give the verdict and the table of a replay."""
    letters = counted(report.replayed.total(), "dead letter")
    more = " `headrace dlq list` shows what is rejected again." if report.replayed else ""
    yield (
        f"{letters} would be replayed. Nothing was sent."
        if dry_run
        else (f"{letters} replayed.{more}")
    )
    table = Table("dead letters", "stage", "reason", "what became of them")
    table.columns[0].justify = "right"
    outcomes = (
        (report.replayed, "to be replayed" if dry_run else "replayed", "green"),
        (report.before, "were replayed before", ""),
        (report.discarded, "were discarded", ""),
        (report.strange, "not ours: cannot be replayed", "red"),
    )
    for counts, outcome, style in outcomes:
        for (stage, reason), count in counts.most_common():
            cells = (visible(stage or "none"), visible(reason or "none"), Text(outcome, style))
            table.add_row(f"{count:,}", *cells)
    if table.rows:
        yield table


def of_selection(selected: Sequence[Selected], report: Report) -> Iterator[str]:
    """Give what `headrace dlq discard` is about to do, a line each."""
    kinds = Counter((one.letter.stage, one.letter.reason) for one in selected)
    for (stage, reason), count in kinds.most_common():
        what = f"{counted(count, 'dead letter')} of {stage or 'no stage'}: {reason or 'no reason'}"
        yield str(visible(what))
    for counts, what in ((report.discarded, "discarded"), (report.before, "replayed")):
        if count := counts.total():
            was = "was" if count == 1 else "were"
            yield f"{counted(count, 'dead letter')} {was} {what} before."


def of_record(record: Any, settled: Settled) -> Iterator[RenderableType]:
    """Give all that is known of one dead letter, what was done and what to do next."""
    letter = to_letter(record)
    yield from _done(letter, settled)
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
    if letter.name in settled.discarded or letter.name in settled.replayed:
        return
    if letter.replayable:
        yield f"Once the cause is fixed: headrace dlq replay {letter.id}"
    yield f"If it is not worth a replay: headrace dlq discard {letter.id} --reason '...'"


def _done(letter: DeadLetter, settled: Settled) -> Iterator[Text]:
    if (noted := settled.discarded.get(letter.name)) is not None:
        by, why = noted.discarded_by or "unknown", noted.discard_reason or ""
        yield visible(f"Discarded {utc(noted.log_ms)} by {by}: {why}")
    elif (noted := settled.replayed.get(letter.name)) is not None:
        yield visible(
            f"Replayed {utc(noted.log_ms)}, as events-raw offset {offset_of(noted.src_offset)}"
        )


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
    """Return bytes as lines of offset, hex and ASCII."""
    lines = []
    for begin in range(0, len(data), _HEX_COLUMNS):
        part = data[begin : begin + _HEX_COLUMNS]
        ascii_text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)  # noqa: PLR2004
        lines.append(f"{begin:04x}  {part.hex(' '):<{_HEX_COLUMNS * 3}} {ascii_text}")
    return Text("\n".join(lines))
