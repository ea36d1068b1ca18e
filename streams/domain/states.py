"""What the rules need of a table, and of time: no more than this."""

import sys
from heapq import heappop, heappush
from typing import Protocol, TypeVar

S = TypeVar("S")

#: Deadlines are kept by spans of so many ms.
SPAN_MS = 1_000


class States(Protocol[S]):
    """The states of one partition, as one batch has them so far."""

    #: The offset in the source up to which all had its effect when the batch began, as the
    #: rules say. A state is deleted when it knows of no event beyond that: the last tombstone of
    #: the partition tells the next worker, whom no state tells any more.
    applied_until: int

    def __len__(self) -> int:
        """Return how many there were when the batch began."""

    def get(self, key: bytes) -> S | None:
        """Return the state of a key, or None."""

    def put(self, key: bytes, state: S) -> None:
        """Change the state of a key."""

    def delete(self, key: bytes) -> None:
        """Delete a key that this batch did not change."""

    def is_changed(self, key: bytes) -> bool:
        """Tell whether this batch changed the key."""


class Deadlines:
    """Keys by the stream time (ms) after which something is due for them.

    It holds no more than the keys, in lists by the second, for there may be millions. So it
    does not know which it has: set a key when it is new and when it came up, and look then at
    what it is really due at. A deadline that moved on costs nothing in between.
    """

    def __init__(self) -> None:
        self._spans: dict[int, list[bytes]] = {}
        self._order: list[int] = []

    def set(self, key: bytes, at_ms: int) -> None:
        """Have the key come up within a second after stream time has passed `at_ms`."""
        span = at_ms // SPAN_MS
        keys = self._spans.get(span)
        if keys is None:
            keys = self._spans[span] = []
            heappush(self._order, span)
        keys.append(key)

    def due(self, now_ms: int, at_most: int) -> list[bytes]:
        """Take out keys whose deadline stream time has passed, the longest passed first.

        With none, nothing is due; with some, there may be more. One that was set again before
        it came up may come up twice.
        """
        keys: list[bytes] = []
        if not self._order or (self._order[0] + 1) * SPAN_MS > now_ms:
            return keys  # as it is for most events
        while len(keys) < at_most and (first := self.first(now_ms)) is not None:
            keys.append(first[1])
        return keys

    def first(self, now_ms: int = sys.maxsize) -> tuple[int, bytes] | None:
        """Take out the key that comes up first, with when that is; None when none does by now."""
        if not self._order:
            return None
        span = self._order[0]
        comes_up_ms = (span + 1) * SPAN_MS
        if comes_up_ms > now_ms:
            return None
        keys = self._spans[span]
        key = keys.pop()
        if not keys:
            del self._spans[span]
            heappop(self._order)
        return comes_up_ms, key
