"""The output of `headrace topics cat`, as text and as JSON. Contents of records are untrusted."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from headrace.ops.dead_letters.dead_letter import dead_letter_topics, to_letter
from headrace.ops.record_text import decoded, hex_dump, readable, text_or_hex
from headrace.terminal.tables import visible
from schemas.codec import CodecError
from schemas.event_types import ERASE
from schemas.headers import TYPE, find
from schemas.plurals import counted
from schemas.stages import STAGES
from schemas.topics import Topic

_HEX_BYTES = 256


def kind_of(record: Any) -> str:
    """Return `record`, or the kind of a record without a value.

    That is `erasure` (an instruction to forget a key), `tombstone` (its key is deleted), or
    `punctuation` (without a key: it advances time, or says until when counters are complete).
    """
    if record.value is not None:
        return "record"
    if find(record.headers, TYPE) == ERASE.encode():
        return "erasure"
    return "punctuation" if record.key is None else "tombstone"


def record_name(record: Any, topic: Topic) -> str:
    """Return the name of the Avro record of a value."""
    if record.topic not in dead_letter_topics():
        return topic.record
    # A replay that a sink rejected again has the record type of its stage, not of the topic.
    stage = STAGES.get(to_letter(record).stage)
    return stage.record if stage else topic.record


def to_json(record: Any, topic: Topic) -> str:
    """Return a record as one line of JSON."""
    fields: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": _time(record.timestamp),
        "kind": kind_of(record),
        "key": None if record.key is None else text_or_hex(record.key),
        "headers": [
            {"name": name, "value": readable(name, value or b"")} for name, value in record.headers
        ],
    }
    if record.value is not None:
        fields["record"] = record_name(record, topic)
        try:
            fields["value"] = decoded(record.value, fields["record"])
        except CodecError as error:
            fields |= {"error": str(error), "value_hex": record.value.hex()}
    return json.dumps(fields, ensure_ascii=False)


def to_text(record: Any, topic: Topic) -> Iterator[Text]:
    """Yield the lines of a record; fields that are null are left out."""
    place = f"{record.topic}/{record.partition}/{record.offset}"
    yield Text.assemble((place, "bold"), f"  {_time(record.timestamp)}")
    yield visible(f"  key    {'none' if record.key is None else text_or_hex(record.key)}")
    for name, value in record.headers:
        yield visible(f"  header {name}: {readable(name, value or b'')}")
    if record.value is None:
        yield Text(f"  no value: {kind_of(record)}")
        return
    name = record_name(record, topic)
    try:
        content = decoded(record.value, name)
    except CodecError as error:
        yield visible(f"  not a {name} ({counted(len(record.value), 'byte')}): {error}")
        yield hex_dump(record.value[:_HEX_BYTES])
        return
    present = {field: value for field, value in content.items() if value is not None}
    yield visible(f"  {name} {json.dumps(present, ensure_ascii=False)}")


def _time(ms: int) -> str:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"
