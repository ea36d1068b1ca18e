"""What the rules need of a table, and of time: no more than this."""

from heapq import heappop, heappush
from typing import Protocol, TypeVar

S = TypeVar("S")


class States(Protocol[S]):
    """The states of one partition, as one batch has them so far."""

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

    A deadline that moves on costs nothing: an entry is looked at when it comes up, and set
    again when it came too early. One that moves back is set anew.
    """

    def __init__(self) -> None:
        self._at: dict[bytes, int] = {}
        self._heap: list[tuple[int, bytes]] = []

    def set(self, key: bytes, at_ms: int) -> None:
        """Have the key come up when stream time has passed `at_ms`, or earlier."""
        known = self._at.get(key)
        if known is None or at_ms < known:
            self._at[key] = at_ms
            heappush(self._heap, (at_ms, key))

    def due(self, now_ms: int, at_most: int) -> list[bytes]:
        """Take out keys whose deadline stream time has passed, the longest passed first."""
        keys: list[bytes] = []
        while self._heap and self._heap[0][0] < now_ms and len(keys) < at_most:
            at_ms, key = heappop(self._heap)
            if self._at.get(key) == at_ms:
                del self._at[key]
                keys.append(key)
        return keys
