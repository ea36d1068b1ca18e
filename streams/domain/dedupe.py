"""Which events were seen before (design D7).

A client that had no answer sends the same `event_id` again. What was seen at a lower offset
is a repeat; at the same offset it is the very event, read again after a crash, and passes.
"""

from collections import deque
from typing import NamedTuple


class Limits(NamedTuple):
    """How long ids are remembered: `keep` of them always, others for `keep_ms`, `most` at most."""

    keep: int
    keep_ms: int
    most: int


#: Ids that clients chose: they may come again a day later. A million take about 250 MB.
CLIENT_IDS = Limits(keep=200_000, keep_ms=24 * 3_600_000, most=1_000_000)
#: Ids that the server made: only a retry of a produce request can repeat them.
SERVER_IDS = Limits(keep=0, keep_ms=10 * 60_000, most=200_000)


class SeenIds:
    """The ids of one partition, with the offset and log time of each.

    An id is unique within its site and session, so what is remembered is the id and the key.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._offsets: dict[bytes, int] = {}
        self._oldest_first: deque[tuple[int, bytes]] = deque()

    def __len__(self) -> int:
        return len(self._offsets)

    def is_repeat(self, event_id: bytes, key: bytes, offset: int, log_ms: int) -> bool:
        """Tell whether the id was seen at a lower offset; remember it when it was not."""
        name = event_id + key
        seen = self._offsets.get(name)
        if seen is not None:
            if seen > offset:
                self._offsets[name] = offset
            return seen < offset
        self._offsets[name] = offset
        self._oldest_first.append((log_ms, name))
        self._forget(log_ms)
        return False

    def _forget(self, now_ms: int) -> None:
        keep, keep_ms, most = self._limits
        queue = self._oldest_first
        while len(queue) > most or (len(queue) > keep and queue[0][0] < now_ms - keep_ms):
            del self._offsets[queue.popleft()[1]]
