"""Split a batch that is not JSON because of one of its events, so that the others are accepted.

Only strings, brackets and commas are read, so half a surrogate pair, NaN or deep nesting stays
within its event. All that is around the events must be JSON. Used when a decoder has failed.
"""

import re
from itertools import islice

import msgspec

#: A thousand events of a hundred fields; what has more is not worth the time.
_MAX_TOKENS = 300_000
# A string without an end is one token up to the end, or each quote in it would be tried again.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}:,]', re.DOTALL)
_DEEPER = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
#: "events" with each of its letters escaped.
_LONGEST_NAME = 38


class _Broken(ValueError):  # noqa: N818 - it is an outcome
    """The body is no batch."""


class _Splitter:
    """Reads tokens; `around` is the body without the events."""

    def __init__(self, body: bytes, limit: int) -> None:
        self.around = b""
        self.events: list[bytes] = []
        self._body = body
        self._limit = limit
        self._copied = 0
        #: Of the array of events that is being read; None outside of one.
        self._begin: int | None = None
        self._array_depth = 0

    def read(self) -> None:
        """Split the body; `_Broken` if its brackets or its envelope are wrong."""
        depth = 0
        name = previous = b""
        for token in islice(_TOKEN.finditer(self._body), _MAX_TOKENS):
            kind = token[0]
            if self._begin is not None:
                if depth == self._array_depth and kind in (b",", b"]", b"}"):
                    self._end_event(token, kind)
            elif depth == 0 or (depth == 1 and previous == b":" and _is_events(name)):
                self._begin_array(token, kind, depth)
            depth += _DEEPER.get(kind, 0)
            name, previous = previous, kind
        if self._begin is not None or not self._array_depth:
            raise _Broken
        self.around += self._body[self._copied :]

    def _begin_array(self, token: re.Match[bytes], kind: bytes, depth: int) -> None:
        if kind == b"[":
            self.events = []  # of two arrays the last counts
            self.around += self._body[self._copied : token.end()]
            self._begin = token.end()
            self._array_depth = depth + 1
        elif depth:
            raise _Broken

    def _end_event(self, token: re.Match[bytes], kind: bytes) -> None:
        event = self._body[self._begin : token.start()].strip()
        if not event or kind == b"}":
            raise _Broken
        if len(self.events) < self._limit:
            self.events.append(event)
        self._begin = token.end()
        if kind == b"]":
            self._begin = None
            self._copied = token.start()


def split_leniently(body: bytes, limit: int) -> list[bytes] | None:
    """Return the first events of an array or {"events": [...]}; None if the body is neither."""
    splitter = _Splitter(body, limit)
    try:
        splitter.read()
        msgspec.json.decode(splitter.around)
    except (ValueError, RecursionError):  # msgspec's errors, and that of UTF-8, are ValueErrors
        return None
    return splitter.events


def _is_events(name: bytes) -> bool:
    if b"\\" not in name or len(name) > _LONGEST_NAME:
        return name == b'"events"'
    try:
        return bool(msgspec.json.decode(name) == "events")
    except msgspec.DecodeError:
        return False
