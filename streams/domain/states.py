"""The state store and the timers that aggregators use."""

import sys
from collections.abc import Callable, Container
from heapq import heappop, heappush
from typing import Protocol, TypeVar

S = TypeVar("S")

#: Deadlines are grouped by spans of stream time (ms).
SPAN_MS = 1_000
#: Half a second of work, and more states than one fetch can add.
MAX_EVICTIONS_PER_BATCH = 20_000
#: Stale entries are dropped beyond twice the number of states and this.
_STALE = 10_000


class States(Protocol[S]):
    """The states of one partition, including the changes of the current batch."""

    #: The source offset up to which all events were applied at the start of the batch. Tombstones
    #: record it, so that the next owner of the partition skips the events of deleted states.
    #: Nothing is deleted while a state contains a later event.
    applied_until: int

    def __len__(self) -> int:
        """Return the number of states at the start of the batch."""

    def __contains__(self, key: object) -> bool:
        """Return True if the key had a state at the start of the batch."""

    def get(self, key: bytes) -> S | None:
        """Return the state of a key, None if it has none."""

    def put(self, key: bytes, state: S) -> None:
        """Set the state of a key."""

    def delete(self, key: bytes) -> None:
        """Delete a key that this batch did not change."""

    def is_changed(self, key: bytes) -> bool:
        """Return True if this batch changed the key."""

    def publish(self, key: bytes) -> None:
        """Write the current state of a key even if it is replaced in the same batch."""


def evict_while_over(excess: int, evict_first: Callable[[], bool]) -> int:
    """Evict states one by one until none of `excess` is left; return how many were evicted.

    The number per batch is limited; the next batch continues.
    """
    wanted = min(max(0, excess), MAX_EVICTIONS_PER_BATCH)
    for evicted in range(wanted):
        if not evict_first():
            return evicted
    return wanted


class Deadlines:
    """Timers: keys by the stream time (ms) at which they are due.

    Keys are kept in lists per second, without an index, because there may be millions. Set a key
    when it is new and again when it was returned, and check its actual deadline then: a deadline
    that was moved to a later time costs nothing.
    """

    def __init__(self) -> None:
        self._spans: dict[int, list[bytes]] = {}
        self._order: list[int] = []
        self._size = 0

    def __len__(self) -> int:
        """Return the number of entries; a key has one for each `set`."""
        return self._size

    def set(self, key: bytes, at_ms: int) -> None:
        """Make the key due within a second after stream time has passed `at_ms`."""
        span = at_ms // SPAN_MS
        keys = self._spans.get(span)
        if keys is None:
            keys = self._spans[span] = []
            heappush(self._order, span)
        keys.append(key)
        self._size += 1

    def is_due(self, now_ms: int) -> bool:
        """Return True if a key is due."""
        return bool(self._order) and (self._order[0] + 1) * SPAN_MS <= now_ms

    def due(self, now_ms: int, at_most: int) -> list[bytes]:
        """Remove and return keys that are due, the earliest first, at most `at_most`.

        If there are any, call it again for more. A key that was set twice is returned twice.
        """
        keys: list[bytes] = []
        while len(keys) < at_most and (first := self.first(now_ms)) is not None:
            keys.append(first[1])
        return list(dict.fromkeys(keys))

    def first(self, now_ms: int = sys.maxsize) -> tuple[int, bytes] | None:
        """Remove and return the earliest key, and its time (ms); None if none is due."""
        if not self._order:
            return None
        span = self._order[0]
        due_ms = (span + 1) * SPAN_MS
        if due_ms > now_ms:
            return None
        keys = self._spans[span]
        key = keys.pop()
        self._size -= 1
        if not keys:
            del self._spans[span]
            heappop(self._order)
        return due_ms, key

    def earliest(self, due_at: Callable[[bytes], int | None]) -> bytes | None:
        """Remove and return the key with the earliest deadline, also before it; None if empty.

        `due_at` returns the actual deadline of a key, None if it has none any more.
        """
        while (first := self.first()) is not None:
            due_ms, key = first
            at_ms = due_at(key)
            if at_ms is None:
                continue
            if at_ms < due_ms:
                return key
            self.set(key, at_ms)
        return None

    def earliest_state(
        self, states: States[S], due_at: Callable[[S], int]
    ) -> tuple[bytes, S] | None:
        """Remove and return the key with the earliest deadline and its state; None if empty."""

        def due_of(key: bytes) -> int | None:
            state = states.get(key)
            return None if state is None else due_at(state)

        key = self.earliest(due_of)
        state = None if key is None else states.get(key)
        return None if key is None or state is None else (key, state)

    def drop_stale(self, living: Container[bytes], states: int) -> None:
        """Keep only the first entry of each living key, if most entries are stale."""
        if self._size <= 2 * states + _STALE:
            return
        before, self._spans, self._order, self._size = self._spans, {}, [], 0
        kept: set[bytes] = set()
        for span in sorted(before):
            for key in before[span]:
                if key in living and key not in kept:
                    kept.add(key)
                    self.set(key, span * SPAN_MS)
