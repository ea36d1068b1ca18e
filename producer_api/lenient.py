"""Split a batch that holds an event that is not quite JSON: the others are none the worse.

Only strings, brackets and commas are looked at, so half a surrogate pair, NaN or a nesting
without end stays within the event that it is in. Slower than a decoder, and only used when
one has failed.
"""

import re
from collections.abc import Iterator
from itertools import islice

#: A thousand events of a hundred fields; what has more is not worth the time.
_MOST_TOKENS = 300_000
# A string without an end is one token up to the end, or each quote in it would be tried anew.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}:,]', re.DOTALL)

_Tokens = Iterator[re.Match[bytes]]


def split_leniently(body: bytes, most: int) -> list[bytes] | None:
    """Return the first `most` events of an array or {"events": [...]}; None when it is neither."""
    tokens = islice(_TOKEN.finditer(body), _MOST_TOKENS)
    first = next(tokens, None)
    if first is None or body[: first.start()].strip():
        return None
    if first[0] == b"{":
        first = _find_events(tokens)
    if first is None or first[0] != b"[":
        return None
    return _elements(body, first.end(), tokens, most)


def _find_events(tokens: _Tokens) -> re.Match[bytes] | None:
    """Return the first token of the value of `events`, a member of the object just begun."""
    depth = 1
    name = b""
    for token in tokens:
        kind = token[0]
        if depth == 1 and kind == b":" and name == b'"events"':
            return next(tokens, None)
        depth += (kind in (b"[", b"{")) - (kind in (b"]", b"}"))
        name = kind
    return None


def _elements(body: bytes, begin: int, tokens: _Tokens, most: int) -> list[bytes] | None:
    """Return the elements of the array that has just begun; None when it has no end."""
    elements: list[bytes] = []
    depth = 1
    for token in tokens:
        kind = token[0]
        depth += (kind in (b"[", b"{")) - (kind in (b"]", b"}"))
        if depth == 0 or (depth == 1 and kind == b","):
            element = body[begin : token.start()].strip()
            if not element:
                return None
            elements.append(element)
            begin = token.end()
        if depth == 0 or len(elements) == most:
            return elements
    return None
