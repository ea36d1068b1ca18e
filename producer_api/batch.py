"""A batch's body, split into its events: each stays bytes, to be judged alone."""

import re
from itertools import islice

import msgspec
from msgspec import Raw

from producer_api.lenient import split_leniently
from producer_api.parse import read_json, why_invalid
from producer_api.rejected import Rejected, kind_of
from schemas.reject_reasons import RejectReason

MAX_EVENTS = 1000
NDJSON_TYPES = frozenset(
    {b"application/x-ndjson", b"application/ndjson", b"application/jsonl", b"application/x-jsonl"}
)

#: From a line's first character that is no blank. To begin with the blanks before it would try
#: a long run of them anew from each of its places.
_NON_BLANK = re.compile(rb"\S[^\n]*+")
_IS_OBJECT = re.compile(rb"[ \t\r\n]*\{")


class _Envelope(msgspec.Struct):
    # Of two the last counts, whatever the first may be.
    events: Raw


_array = msgspec.json.Decoder(list[Raw]).decode
_envelope = msgspec.json.Decoder(_Envelope).decode


def split(body: bytes, content_type: bytes) -> list[bytes]:
    """Return the events' bytes, in order; at least one and no more than a batch may hold."""
    if content_type.partition(b";")[0].strip().lower() in NDJSON_TYPES:
        events = _of_lines(body)
    else:
        events = _of_json(body)
    if not events:
        raise Rejected(RejectReason.EMPTY_BATCH)
    if len(events) > MAX_EVENTS:
        raise Rejected(RejectReason.TOO_MANY_EVENTS, count=f"{MAX_EVENTS + 1:,} or more")
    return events


def _of_lines(body: bytes) -> list[bytes]:
    # A body of nothing but line breaks and digits would be a million events: one over the
    # limit is enough to know.
    lines = islice(_NON_BLANK.finditer(body), MAX_EVENTS + 1)
    return [line[0].rstrip() for line in lines]


def _of_json(body: bytes) -> list[bytes]:
    try:
        events = _array(_envelope(body).events if _IS_OBJECT.match(body) else body)
    except msgspec.ValidationError:
        raise _not_a_batch(body) from None
    except RecursionError:
        return _all_but_the_bad(body, "it is nested too deeply")
    except msgspec.DecodeError as error:
        return _all_but_the_bad(body, str(error))
    return [bytes(event) for event in islice(events, MAX_EVENTS + 1)]


def _not_a_batch(body: bytes) -> Rejected:
    content = read_json(body)
    kind = "an object without such events" if isinstance(content, dict) else kind_of(content)
    return Rejected(RejectReason.NOT_A_BATCH, kind=kind)


def _all_but_the_bad(body: bytes, detail: str) -> list[bytes]:
    """Split what is not quite JSON, so that an event with half a surrogate harms no other."""
    events = split_leniently(body, MAX_EVENTS + 1)
    if events is None:
        raise why_invalid(body, detail)
    return events
