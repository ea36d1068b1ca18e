"""What the rules need of a table, and of time: no more than this."""

import sys
from collections.abc import Callable, Container
from heapq import heappop, heappush
from typing import Protocol, TypeVar

S = TypeVar("S")

#: Deadlines are kept by spans of so many ms.
SPAN_MS = 1_000
#: States that leave with one batch: half a second's work. More than one fetch can bring.
LEAVE_AT_ONCE = 20_000
#: Keys that deadlines hold beside twice the states, before what is stale is thrown out.
_STALE = 10_000


class States(Protocol[S]):
    """The states of one partition, as one batch has them so far."""

    #: The offset in the source up to which all had its effect when the batch began, as the
    #: rules say: the last tombstone of the partition tells the next worker, whom no state
    #: tells any more. Nothing is deleted while a state knows of an event beyond it.
    applied_until: int

    def __len__(self) -> int:
        """Return how many there were when the batch began."""

    def __contains__(self, key: object) -> bool:
        """Tell whether a key had a state when the batch began."""

    def get(self, key: bytes) -> S | None:
        """Return the state of a key, or None."""

    def put(self, key: bytes, state: S) -> None:
        """Change the state of a key."""

    def delete(self, key: bytes) -> None:
        """Delete a key that this batch did not change."""

    def is_changed(self, key: bytes) -> bool:
        """Tell whether this batch changed the key."""


def let_leave(excess: int, first_leaves: Callable[[], bool]) -> int:
    """Have states leave one by one while there are more than there is room for; return how many.

    No more than a batch bears; the others go with the next ones.
    """
    wanted = min(max(0, excess), LEAVE_AT_ONCE)
    for left in range(wanted):
        if not first_leaves():
            return left
    return wanted


class Deadlines:
    """Keys by the stream time (ms) after which something is due for them.

    It holds no more than the keys, in lists by the second, for there may be millions. So it
    does not know which it has: set a key when it is new and when it came up, and look then at
    what it is really due at. A deadline that moved on costs nothing in between.
    """

    def __init__(self) -> None:
        self._spans: dict[int, list[bytes]] = {}
        self._order: list[int] = []
        self._size = 0

    def __len__(self) -> int:
        """Return how many keys it holds, each as often as it was set."""
        return self._size

    def set(self, key: bytes, at_ms: int) -> None:
        """Have the key come up within a second after stream time has passed `at_ms`."""
        span = at_ms // SPAN_MS
        keys = self._spans.get(span)
        if keys is None:
            keys = self._spans[span] = []
            heappush(self._order, span)
        keys.append(key)
        self._size += 1

    def due(self, now_ms: int, at_most: int) -> list[bytes]:
        """Take out keys whose deadline stream time has passed, the longest passed first.

        With none, nothing is due; with some, there may be more. One that was set again before
        it came up may come up again, later.
        """
        keys: list[bytes] = []
        if not self._order or (self._order[0] + 1) * SPAN_MS > now_ms:
            return keys  # as it is for most events
        while len(keys) < at_most and (first := self.first(now_ms)) is not None:
            keys.append(first[1])
        return list(dict.fromkeys(keys))

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
        self._size -= 1
        if not keys:
            del self._spans[span]
            heappop(self._order)
        return comes_up_ms, key

    def earliest(self, due_at: Callable[[bytes], int | None]) -> bytes | None:
        """Take out the key that is due first, before its time; None when there is none.

        `due_at` says what a key is really due at, None when it is not any more.
        """
        while (first := self.first()) is not None:
            comes_up_ms, key = first
            at_ms = due_at(key)
            if at_ms is None:
                continue
            if at_ms < comes_up_ms:
                return key
            self.set(key, at_ms)
        return None

    def earliest_state(
        self, states: States[S], due_at: Callable[[S], int]
    ) -> tuple[bytes, S] | None:
        """Take out the key whose state is due first, with the state; None when there is none."""

        def due_of(key: bytes) -> int | None:
            state = states.get(key)
            return None if state is None else due_at(state)

        key = self.earliest(due_of)
        state = None if key is None else states.get(key)
        return None if key is None or state is None else (key, state)

    def throw_out_stale(self, living: Container[bytes], states: int) -> None:
        """Keep only the first entry of each living key, when most entries must be stale."""
        if self._size <= 2 * states + _STALE:
            return
        before, self._spans, self._order, self._size = self._spans, {}, [], 0
        kept: set[bytes] = set()
        for span in sorted(before):
            for key in before[span]:
                if key in living and key not in kept:
                    kept.add(key)
                    self.set(key, span * SPAN_MS)
