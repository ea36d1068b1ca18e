"""Sliding windows: the highest event count of all windows that contain an event.

Events are counted in slots that are kept for two windows, because events of several partitions may
be up to one window out of order (ADR 30).
"""

from collections.abc import Sequence
from typing import NamedTuple

#: For thresholds up to this, a slot is one millisecond, and windows are exact.
MAX_EXACT_COUNT = 100
#: For larger thresholds: windows are up to a hundredth longer.
SLOTS_PER_WINDOW = 100
#: Limit of slots per state: more than those of two windows, and twice the largest exact threshold.
MAX_SLOTS = 2 * max(MAX_EXACT_COUNT, SLOTS_PER_WINDOW) + 1


class SlidingCount(NamedTuple):
    """Event counts by the start of their slot (ms), ascending."""

    slot_ms: Sequence[int] = ()
    counts: Sequence[int] = ()

    def add(self, at_ms: int, window_ms: int, slot_size_ms: int) -> "SlidingCount":
        """Return the counts including an event, unless it is more than one window late.

        Slots that no future event can share a window with are removed.
        """
        slot = at_ms - at_ms % slot_size_ms
        newest_ms = max(slot, self.slot_ms[-1]) if self.slot_ms else slot
        if slot < newest_ms - window_ms:
            return self
        counts = dict(zip(self.slot_ms, self.counts, strict=True))
        counts[slot] = counts.get(slot, 0) + 1
        # More slots are part of a burst that has reached the threshold already.
        kept = [ms for ms in sorted(counts) if ms >= newest_ms - 2 * window_ms][-MAX_SLOTS:]
        return SlidingCount(kept, [counts[ms] for ms in kept])

    def max_around(self, at_ms: int, window_ms: int, slot_size_ms: int) -> int:
        """Return the highest count of the windows that contain this time; 0 if it is too late.

        Events share a window if they are at most `window_ms` apart.
        """
        slot = at_ms - at_ms % slot_size_ms
        if not self.slot_ms or slot < self.slot_ms[-1] - window_ms:
            return 0
        near = [
            (ms, count)
            for ms, count in zip(self.slot_ms, self.counts, strict=True)
            if slot - window_ms <= ms <= slot + window_ms
        ]
        highest = total = first = 0
        for last_ms, count in near:
            total += count
            while near[first][0] < last_ms - window_ms:
                total -= near[first][1]
                first += 1
            if last_ms >= slot:
                highest = max(highest, total)
        return highest


def slot_size_of(count: int, window_ms: int) -> int:
    """Return the length of a slot (ms) for a threshold of `count` events per window."""
    return 1 if count <= MAX_EXACT_COUNT else max(1, window_ms // SLOTS_PER_WINDOW)
