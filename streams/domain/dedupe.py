"""Which events were seen before (design D7).

A client that had no answer sends the same `event_id` again. What was seen at a lower offset
is a repeat; at the same offset it is the very event, read again after a crash, and passes.
"""

from collections import deque
from hashlib import blake2b
from typing import NamedTuple


class Limits(NamedTuple):
    """How long ids are remembered: `keep` of them always, others for `keep_ms`, `most` at most."""

    keep: int
    keep_ms: int
    most: int


#: Ids that clients chose: they may come again a day later. A million take about 150 MB.
CLIENT_IDS = Limits(keep=200_000, keep_ms=24 * 3_600_000, most=1_000_000)
#: Ids that the server made: only a retry of a produce request can repeat them.
SERVER_IDS = Limits(keep=0, keep_ms=10 * 60_000, most=200_000)

#: Ids are forgotten by spans of log time, not one by one.
_SPAN_MS = 1_000


class SeenIds:
    """The ids of one partition, each with its offset, the oldest first.

    An id is unique within its site and session, so what is remembered is a digest of the id
    and the key: 16 bytes, of which two are equal by chance once in 10^19 events.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._offsets: dict[bytes, int] = {}
        self._oldest_first: deque[bytes] = deque()
        #: For each span of log time, its end (ms) and how many ids came in it.
        self._spans: deque[list[int]] = deque()

    def __len__(self) -> int:
        return len(self._offsets)

    def is_repeat(self, event_id: bytes, key: bytes, offset: int, log_ms: int) -> bool:
        """Tell whether the id was seen at a lower offset; remember it when it was not."""
        name = blake2b(event_id + key, digest_size=16).digest()
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
        keep, keep_ms, most = self._limits
        while len(self._offsets) > most:
            self._forget_oldest()
        while len(self._offsets) > keep and self._spans[0][0] < now_ms - keep_ms:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        del self._offsets[self._oldest_first.popleft()]
        self._spans[0][1] -= 1
        if not self._spans[0][1]:
            self._spans.popleft()
