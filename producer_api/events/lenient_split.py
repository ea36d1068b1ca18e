"""Splits a batch that is not valid JSON because of one of its events, so that others are accepted.

Only strings, brackets and commas are parsed, so that a lone surrogate, NaN or deep nesting affects
its event only. The rest of the body must be valid JSON.
"""

import re
from itertools import islice

import msgspec

#: Enough for 1,000 events of 100 fields; limits the CPU time.
_MAX_TOKENS = 300_000
# An unterminated string is one token up to the end: a retry at each quote would be quadratic.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}:,]', re.DOTALL)
_DEPTH_CHANGE = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
#: The length of "events" with every letter escaped.
_LONGEST_NAME = 38


class _NotABatchError(ValueError):
    """The body is not a batch."""


class _Splitter:
    """Splits one body; `envelope` is the body without its events."""

    def __init__(self, body: bytes, limit: int) -> None:
        self.envelope = b""
        self.events: list[bytes] = []
        self._body = body
        self._limit = limit
        self._copied = 0
        #: The start of the current event; None outside of the array of events.
        self._event_start: int | None = None
        self._array_depth = 0

    def read(self) -> None:
        """Split the body; raises `_NotABatchError` if it has no array of events."""
        depth = 0
        name = previous = b""
        for token in islice(_TOKEN.finditer(self._body), _MAX_TOKENS):
            symbol = token[0]
            if self._event_start is not None:
                if depth == self._array_depth and symbol in (b",", b"]", b"}"):
                    self._end_event(token, symbol)
            elif depth == 0 or (depth == 1 and previous == b":" and _is_events(name)):
                self._begin_array(token, symbol, depth)
            depth += _DEPTH_CHANGE.get(symbol, 0)
            name, previous = previous, symbol
        if self._event_start is not None or not self._array_depth:
            raise _NotABatchError
        self.envelope += self._body[self._copied :]

    def _begin_array(self, token: re.Match[bytes], symbol: bytes, depth: int) -> None:
        if symbol == b"[":
            self.events = []  # of duplicate members the last counts
            self.envelope += self._body[self._copied : token.end()]
            self._event_start = token.end()
            self._array_depth = depth + 1
        elif depth:
            raise _NotABatchError

    def _end_event(self, token: re.Match[bytes], symbol: bytes) -> None:
        event = self._body[self._event_start : token.start()].strip()
        if not event or symbol == b"}":
            raise _NotABatchError
        if len(self.events) < self._limit:
            self.events.append(event)
        self._event_start = token.end()
        if symbol == b"]":
            self._event_start = None
            self._copied = token.start()


def split_leniently(body: bytes, limit: int) -> list[bytes] | None:
    """Return up to `limit` events of an array or {"events": [...]}; None if it is neither."""
    splitter = _Splitter(body, limit)
    try:
        splitter.read()
        msgspec.json.decode(splitter.envelope)
    except (ValueError, RecursionError):  # msgspec's errors and UnicodeError are ValueErrors
        return None
    return splitter.events


def _is_events(name: bytes) -> bool:
    if b"\\" not in name or len(name) > _LONGEST_NAME:
        return name == b'"events"'
    try:
        return bool(msgspec.json.decode(name) == "events")
    except msgspec.DecodeError:
        return False
