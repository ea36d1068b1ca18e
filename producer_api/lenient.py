"""Split a batch that holds an event that is not quite JSON: the others are none the worse.

Only strings, brackets and commas are looked at, so half a surrogate pair, NaN or a nesting
without end stays within the event that it is in. All that is around the events must be JSON.
Slower than a decoder, and only used when one has failed.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import msgspec

#: A thousand events of a hundred fields; what has more is not worth the time.
_MOST_TOKENS = 300_000
# A string without an end is one token up to the end, or each quote in it would be tried anew.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}:,]', re.DOTALL)
#: "events" with each of its letters escaped.
_LONGEST_NAME = 38

_Tokens = Iterator[re.Match[bytes]]


class _Array(NamedTuple):
    """An array's elements, of the first of which no more than asked for, and its place."""

    elements: list[bytes]
    begin: int
    end: int


def split_leniently(body: bytes, most: int) -> list[bytes] | None:
    """Return the first `most` events of an array or {"events": [...]}; None when it is neither."""
    tokens = islice(_TOKEN.finditer(body), _MOST_TOKENS)
    first = next(tokens, None)
    if first is None or first[0] not in (b"[", b"{"):
        return None
    found = (
        [_array(body, first, tokens, most)] if first[0] == b"[" else _of_object(body, tokens, most)
    )
    arrays = [array for array in found if array is not None]
    if not arrays or len(arrays) < len(found) or not _is_json(_around(body, arrays)):
        return None
    return arrays[-1].elements


def _of_object(body: bytes, tokens: _Tokens, most: int) -> list[_Array | None]:
    """Return each array that is called `events` in the object just begun; None if one is broken."""
    found: list[_Array | None] = []
    depth = 1
    name = b""
    for token in tokens:
        kind = token[0]
        if depth == 1 and kind == b":" and _is_events(name):
            begin = next(tokens, None)
            if begin is None or begin[0] != b"[":
                return [None]
            found.append(_array(body, begin, tokens, most))
        depth += _deeper(kind)
        name = kind
    return found


def _is_events(name: bytes) -> bool:
    if b"\\" not in name or len(name) > _LONGEST_NAME:
        return name == b'"events"'
    try:
        return bool(msgspec.json.decode(name) == "events")
    except msgspec.DecodeError:
        return False


def _array(body: bytes, first: re.Match[bytes], tokens: _Tokens, most: int) -> _Array | None:
    """Return the array that begins with the token `first`; None when it is broken."""
    elements: list[bytes] = []
    begin = first.end()
    depth = 1
    for token in tokens:
        kind = token[0]
        depth += _deeper(kind)
        if depth == 0 or (depth == 1 and kind == b","):
            element = body[begin : token.start()].strip()
            if not element:
                return None
            if len(elements) < most:
                elements.append(element)
            begin = token.end()
        if depth == 0:
            return _Array(elements, first.start(), begin) if kind == b"]" else None
    return None


def _deeper(kind: bytes) -> int:
    return (kind in (b"[", b"{")) - (kind in (b"]", b"}"))


def _around(body: bytes, arrays: list[_Array]) -> bytes:
    """Return the body with each of the arrays as one that is empty."""
    pieces = []
    begin = 0
    for array in arrays:
        pieces.append(body[begin : array.begin])
        begin = array.end
    return b"[]".join([*pieces, body[begin:]])


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
