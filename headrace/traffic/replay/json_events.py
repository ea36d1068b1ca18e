"""Read events from JSON lines, or from one JSON document."""

import re
from collections.abc import Iterator
from typing import TextIO

import msgspec
from msgspec import Raw

from headrace.errors import UserError
from headrace.traffic.replay.recorded_event import RecordedEvent
from headrace.traffic.replay.text_files import MAX_LINE, Line, to_bytes
from producer_api.events.lenient_split import split_leniently

#: The maximum size of a document, which is read into memory as a whole.
MAX_DOCUMENT = 64 * 1024 * 1024

_DOCUMENT = re.compile(r'\s*(\[|\{\s*"events"\s*:\s*\[)')


class _Envelope(msgspec.Struct):
    events: list[Raw]


_documents = msgspec.json.Decoder(list[Raw] | _Envelope)


def is_document(start: str) -> bool:
    """Return True if a file starts with an array of events or with {"events": [...]}."""
    return _DOCUMENT.match(start) is not None


def read_json_lines(lines: Iterator[Line]) -> Iterator[RecordedEvent]:
    """Yield an event per line; blank lines are skipped."""
    for line in lines:
        if data := to_bytes(line.text).strip():
            yield RecordedEvent(line.number, data)


def read_document(name: str, file: TextIO) -> Iterator[RecordedEvent]:
    """Yield an event per element, numbered from one.

    Raises `UserError` if the document is invalid or too large.
    """
    document = to_bytes(file.read(MAX_DOCUMENT + 1))
    if len(document) > MAX_DOCUMENT:
        raise UserError(
            f"{name} is one JSON document of over {MAX_DOCUMENT >> 20} MiB. Convert it to JSON "
            "lines, which have no size limit: jq -c '.[]'"
        )
    for number, element in enumerate(_elements(name, document), 1):
        # Line breaks in JSON are white space: strings cannot contain any.
        data = bytes(element)[:MAX_LINE].replace(b"\n", b" ").replace(b"\r", b" ").strip()
        yield RecordedEvent(number, data)


def _elements(name: str, document: bytes) -> list[Raw] | list[bytes]:
    try:
        found = _documents.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # An invalid element must not affect the others.
        elements = split_leniently(document, len(document))
        if elements is None:
            raise UserError(
                f"{name} looks like a JSON document of events, but is invalid: {error}"
            ) from None
        return elements
    return found.events if isinstance(found, _Envelope) else found
