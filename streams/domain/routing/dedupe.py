"""Deduplication of events by `event_id` (design D7).

A client without a response sends an event again. An id that was seen at a lower offset is a
duplicate; at the same offset it is the same record, read again after a crash.
"""

import struct
from collections import deque
from typing import NamedTuple

_HASH = struct.Struct("q")


class Limits(NamedTuple):
    """Limits of remembered ids: at least `keep`, more for `keep_ms`, never more than `limit`."""

    keep: int
    keep_ms: int
    limit: int


#: Ids of clients, which may send an event again within a day. A million take about 150 MB.
CLIENT_IDS = Limits(keep=200_000, keep_ms=24 * 3_600_000, limit=1_000_000)
#: Ids of the server, which only a retry of a produce request can repeat.
SERVER_IDS = Limits(keep=0, keep_ms=10 * 60_000, limit=200_000)

#: Ids expire by spans of log time, not one by one.
_SPAN_MS = 1_000


class SeenIds:
    """The ids of one partition with their offsets, the oldest first.

    An id is unique within its site and session, so the hash of the key is stored with it. Two keys
    have the same hash once in 10^19 pairs, and clients cannot find such keys (siphash).
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._offsets: dict[bytes, int] = {}
        self._oldest_first: deque[bytes] = deque()
        #: For each span of log time, its end (ms) and its number of ids.
        self._spans: deque[list[int]] = deque()

    def __len__(self) -> int:
        return len(self._offsets)

    def is_repeat(self, event_id: bytes, key: bytes, offset: int, log_ms: int) -> bool:
        """Return True if the id was seen at a lower offset; otherwise remember it."""
        name = event_id + _HASH.pack(hash(key))
        seen = self._offsets.get(name)
        if seen is not None:
            if seen > offset:
                self._offsets[name] = offset
            return seen < offset
        self._offsets[name] = offset
        self._oldest_first.append(name)
        if not self._spans or log_ms > self._spans[-1][0]:
            self._spans.append([log_ms + _SPAN_MS, 0])
        self._spans[-1][1] += 1
        self._forget(log_ms)
        return False

    def _forget(self, now_ms: int) -> None:
        keep, keep_ms, limit = self._limits
        while len(self._offsets) > limit:
            self._forget_oldest()
        while len(self._offsets) > keep and self._spans[0][0] < now_ms - keep_ms:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        del self._offsets[self._oldest_first.popleft()]
        self._spans[0][1] -= 1
        if not self._spans[0][1]:
            self._spans.popleft()
