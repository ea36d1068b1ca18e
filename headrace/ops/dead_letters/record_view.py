"""Terminal output of `headrace dlq show`: the content of one dead letter, which is untrusted."""

import json
from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from headrace.ops.dead_letters.dead_letter import DeadLetter, dead_letter_topics, to_letter
from headrace.ops.dead_letters.listing import LABELS, cells
from headrace.ops.dead_letters.reader import Resolutions
from headrace.ops.record_text import decoded, hex_dump, readable, text_or_hex
from headrace.terminal.tables import visible
from headrace.terminal.times import utc
from schemas.codec import CodecError
from schemas.plurals import counted
from schemas.positions import offset_of
from schemas.reject_reasons import DeadLetterReason
from schemas.stages import STAGES

_HEX_BYTES = 256

#: What to do about a dead letter, by its reason.
NEXT_STEPS: dict[DeadLetterReason, str] = {
    DeadLetterReason.UNDECODABLE: (
        "Another program, or a newer version of headrace, wrote to the source topic. Stop that "
        "program, or upgrade all roles to the same version."
    ),
    DeadLetterReason.BAD_HEADERS: (
        "Another program wrote to the source topic, which is reserved for headrace. Find that "
        "program; it must send events to POST /api/event."
    ),
    DeadLetterReason.BAD_KEY: (
        "Another program wrote to the source topic: headrace derives the key from the record. Find "
        "that program; it must send events to POST /api/event."
    ),
    DeadLetterReason.UNKNOWN_TYPE: (
        "The role api knows an event type that this role does not know: upgrade all roles to the "
        "same version and restart them."
    ),
    DeadLetterReason.RULE_FAILED: (
        "This is a bug in headrace. Report it with the detail above and the traceback in the log "
        "of the role."
    ),
    DeadLetterReason.ROW_REFUSED: (
        "The database rejected only this row; the detail says why. Check the schema with "
        "`headrace db check`. If it does not differ, this is a bug in headrace: report it."
    ),
}
_UNKNOWN_STEP = "Another program wrote this dead letter: its reason is unknown."


def render_record(record: Any, resolutions: Resolutions) -> Iterator[RenderableType]:
    """Yield the content of one dead letter, its resolution and what to do next."""
    letter = to_letter(record)
    yield from _resolution(letter, resolutions)
    about = Table.grid(padding=(0, 2))
    for label, cell in zip(LABELS, cells(letter), strict=True):
        about.add_row(Text(label, style="bold"), visible(cell))
    yield about
    yield _title("Headers")
    table = Table.grid(padding=(0, 2))
    for name, value in record.headers:
        table.add_row(visible(name), visible(readable(name, value)))
    yield table if record.headers else "none"
    yield _title("Key")
    yield "none" if record.key is None else visible(text_or_hex(record.key))
    yield _title("Value")
    yield from _value(record)
    yield _title("What to do")
    is_known = letter.reason in list(DeadLetterReason)
    yield NEXT_STEPS[DeadLetterReason(letter.reason)] if is_known else _UNKNOWN_STEP
    if letter.key in resolutions.discarded or letter.key in resolutions.replayed:
        return
    if letter.is_replayable:
        yield f"After fixing the cause: headrace dlq replay {letter.id}"
    yield f"If no replay is needed: headrace dlq discard {letter.id} --reason '...'"


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


def _value(record: Any) -> Iterator[RenderableType]:
    if record.value is None:
        yield "none: a tombstone"
        return
    # A replay that a sink rejected again has the record type of its stage, not of the topic.
    stage = STAGES.get(to_letter(record).stage)
    name = stage.record if stage else dead_letter_topics()[record.topic].record
    try:
        fields = decoded(record.value, name)
    except CodecError as error:
        yield visible(f"not a {name} ({counted(len(record.value), 'byte')}): {error}")
        yield hex_dump(record.value[:_HEX_BYTES])
        return
    text = json.dumps(fields, indent=2, ensure_ascii=False)
    yield f"a {name}"
    for line in text.splitlines():
        yield visible(line)
