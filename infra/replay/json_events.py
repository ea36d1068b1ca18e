"""Events in JSON: a line each, or one array."""

import re
from collections.abc import Iterator
from typing import TextIO

import msgspec
from msgspec import Raw

from infra.errors import UserError
from infra.replay.recorded import Recorded
from infra.replay.texts import MAX_LINE, Line, to_bytes
from producer_api.lenient import split_leniently

#: A document is read whole: JSON gives no other way to know that it is one.
MAX_DOCUMENT = 64 * 1024 * 1024

_DOCUMENT = re.compile(r'\s*(\[|\{\s*"events"\s*:\s*\[)')


class _Envelope(msgspec.Struct):
    events: list[Raw]


_documents = msgspec.json.Decoder(list[Raw] | _Envelope)


def is_document(start: str) -> bool:
    """Return True for the start of an array of events or of {"events": [...]}."""
    return _DOCUMENT.match(start) is not None


def read_json_lines(lines: Iterator[Line]) -> Iterator[Recorded]:
    """Yield the lines as they are, but for blank ones."""
    for line in lines:
        if data := to_bytes(line.text).strip():
            yield Recorded(line.number, data)


def read_document(name: str, file: TextIO) -> Iterator[Recorded]:
    """Yield the elements, counted from one; `UserError` when it is no document or too large."""
    document = to_bytes(file.read(MAX_DOCUMENT + 1))
    if len(document) > MAX_DOCUMENT:
        raise UserError(
            f"{name} is one JSON document of over {MAX_DOCUMENT >> 20} MiB. Make JSON lines "
            "of it, which may be of any size: jq -c '.[]'"
        )
    for number, element in enumerate(_elements(name, document), 1):
        # In JSON, a line break outside of a string is but a blank, and none is inside.
        data = bytes(element)[:MAX_LINE].replace(b"\n", b" ").replace(b"\r", b" ").strip()
        yield Recorded(number, data)


def _elements(name: str, document: bytes) -> list[Raw] | list[bytes]:
    try:
        found = _documents.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # One bad element harms no other.
        elements = split_leniently(document, len(document))
        if elements is None:
            raise UserError(
                f"{name} begins as a JSON document of events and is none: {error}"
            ) from None
        return elements
    return found.events if isinstance(found, _Envelope) else found
