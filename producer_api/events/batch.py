"""Splits the body of a batch into events, which stay bytes and are validated one by one."""

import re
from itertools import islice

import msgspec
from msgspec import Raw

from producer_api.events.lenient_split import split_leniently
from producer_api.events.parse import explain_invalid, read_json
from producer_api.events.rejection import Rejected, kind_of
from schemas.reject_reasons import RejectReason

MAX_EVENTS = 1000
NDJSON_TYPES = frozenset(
    {b"application/x-ndjson", b"application/ndjson", b"application/jsonl", b"application/x-jsonl"}
)

#: A line from its first non-blank character. Matching leading blanks would be quadratic in a long
#: run of them.
_NON_BLANK = re.compile(rb"\S[^\n]*+")
_IS_OBJECT = re.compile(rb"[ \t\r\n]*\{")
_LINES = (
    "The body is not valid JSON, but has an object per line: send it with "
    "Content-Type: application/x-ndjson"
)


class _Envelope(msgspec.Struct):
    # `Raw`: of duplicate members the last counts, so the others may have any type.
    events: Raw


_array = msgspec.json.Decoder(list[Raw]).decode
_envelope = msgspec.json.Decoder(_Envelope).decode


class _InvalidJsonError(Exception):
    """The batch is not valid JSON; the message is the decoder's."""


def split(body: bytes, content_type: bytes) -> list[bytes]:
    """Return the bytes of 1 to `MAX_EVENTS` events, in order; raises `Rejected`.

    It may take 100 ms if the batch is not valid JSON because of one of its events.
    """
    try:
        return _checked(_split(body, content_type))
    except _InvalidJsonError as error:
        return _checked(_split_invalid(body, str(error)))


def split_valid(body: bytes, content_type: bytes) -> list[bytes] | None:
    """As `split`, but return None if the batch is not valid JSON."""
    try:
        return _checked(_split(body, content_type))
    except _InvalidJsonError:
        return None


def _checked(events: list[bytes]) -> list[bytes]:
    if not events:
        raise Rejected(RejectReason.EMPTY_BATCH)
    if len(events) > MAX_EVENTS:
        raise Rejected(RejectReason.TOO_MANY_EVENTS, count=f"{MAX_EVENTS + 1:,} or more")
    return events


def _split(body: bytes, content_type: bytes) -> list[bytes]:
    if content_type.partition(b";")[0].strip().lower() in NDJSON_TYPES:
        return _split_lines(body)
    return _split_json(body)


def _split_lines(body: bytes) -> list[bytes]:
    # A 2 MiB body can have a million lines; one over the limit is enough to reject it.
    lines = islice(_NON_BLANK.finditer(body), MAX_EVENTS + 1)
    return [line[0].rstrip() for line in lines]


def _split_json(body: bytes) -> list[bytes]:
    try:
        events = _array(_envelope(body).events if _IS_OBJECT.match(body) else body)
    except msgspec.ValidationError:
        raise _reject_not_a_batch(body) from None
    except RecursionError:
        raise _InvalidJsonError("it is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise _InvalidJsonError(str(error)) from None
    return [bytes(event) for event in islice(events, MAX_EVENTS + 1)]


def _reject_not_a_batch(body: bytes) -> Rejected:
    try:
        content = read_json(body)
    except Rejected as rejected:
        return _with_hint(body, rejected)
    kind = "an object without such events" if isinstance(content, dict) else kind_of(content)
    return Rejected(RejectReason.NOT_A_BATCH, kind=kind)


def _split_invalid(body: bytes, detail: str) -> list[bytes]:
    """Split a batch that is not valid JSON, so that only its invalid events are rejected."""
    events = split_leniently(body, MAX_EVENTS + 1)
    if events is None:
        raise _with_hint(body, explain_invalid(body, detail))
    return events


def _with_hint(body: bytes, rejected: Rejected) -> Rejected:
    """Return the rejection of invalid JSON; name the content type if it has an object per line."""
    (line, _, rest) = body.strip().partition(b"\n")
    if not rest.lstrip().startswith(b"{"):
        return rejected
    try:
        is_object = isinstance(read_json(line), dict)
    except Rejected:
        is_object = False
    return Rejected(RejectReason.INVALID_JSON, sentence=_LINES) if is_object else rejected
