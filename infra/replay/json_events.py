"""Events in JSON: a line each, or one array."""

import re
from collections.abc import Iterator

import msgspec
from msgspec import Raw

from infra.errors import UserError
from infra.replay.lines import Line, Readable
from infra.replay.recorded import MAX_LINE_BYTES, Recorded
from producer_api.lenient import split_leniently

#: A document is read whole: JSON gives no other way to know that it is one.
MAX_DOCUMENT_BYTES = 64 * 1024 * 1024

_DOCUMENT = re.compile(rb'\s*(\[|\{\s*"events"\s*:\s*\[)')


class _Envelope(msgspec.Struct):
    events: list[Raw]


_documents = msgspec.json.Decoder(list[Raw] | _Envelope)


def is_document(beginning: bytes) -> bool:
    """Tell whether a file that begins so is an array of events or {"events": [...]}."""
    return _DOCUMENT.match(beginning) is not None


def of_lines(lines: Iterator[Line]) -> Iterator[Recorded]:
    """Yield the lines as they are, but for blank ones."""
    for line in lines:
        if data := line.data.strip():
            yield Recorded(line.number, data)


def of_document(name: str, file: Readable) -> Iterator[Recorded]:
    """Yield the elements, counted from one; `UserError` when it is no document or too large."""
    document = file.read(MAX_DOCUMENT_BYTES + 1)
    if len(document) > MAX_DOCUMENT_BYTES:
        raise UserError(
            f"{name} is one JSON document of over {MAX_DOCUMENT_BYTES >> 20} MiB. Make JSON lines "
            "of it, which may be of any size: jq -c '.[]'"
        )
    for number, element in enumerate(_elements(name, document), 1):
        # In JSON, a line break outside of a string is but a blank, and none is inside.
        data = element[:MAX_LINE_BYTES].replace(b"\n", b" ").replace(b"\r", b" ").strip()
        yield Recorded(number, data)


def _elements(name: str, document: bytes) -> list[bytes]:
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
    raws = found.events if isinstance(found, _Envelope) else found
    return [bytes(raw) for raw in raws]
