"""Visitors of the last minutes: HLL sketches of a second each, so that old ones fall out."""

from datasketches import hll_sketch, hll_union, tgt_hll_type

from schemas.live import ACTIVE_SECONDS, VISITORS_LG_K

#: Seconds that share one merged sketch: a reading merges thirty of them, not 300.
_SPAN_SECONDS = 10
_COMPACT = tgt_hll_type.HLL_4


class VisitorWindow:
    """Counts visitors; the second that now is in is the last of the window's 300."""

    def __init__(self) -> None:
        self._spans: dict[int, _Span] = {}

    def add(self, visitor: str, second: int) -> None:
        """Note a visitor who was there in a second."""
        start = second - second % _SPAN_SECONDS
        span = self._spans.get(start)
        if span is None:
            span = self._spans[start] = _Span()
        span.add(visitor, second)

    def decay(self, now_s: int) -> bool:
        """Forget the seconds that fell out of the window; True when there were any."""
        begin = now_s - ACTIVE_SECONDS + 1
        old = [start for start in self._spans if start < begin]
        changed = False
        for start in old:
            changed |= self._spans[start].forget_before(begin)
            if self._spans[start].is_empty:
                del self._spans[start]
        return changed

    @property
    def next_decay_s(self) -> int | None:
        """The second in which the window is another, though nobody comes; None without any."""
        if not self._spans:
            return None
        return self._spans[min(self._spans)].oldest + ACTIVE_SECONDS

    def packed(self) -> bytes:
        """Return the sketch of all, as `LiveCounters.visitors` has it."""
        if not self._spans:
            return b""
        union = hll_union(VISITORS_LG_K)
        for span in self._spans.values():
            union.update(span.merged())
        return bytes(union.get_result(_COMPACT).serialize_compact())


class _Span:
    """The sketches of some seconds, and what they are together."""

    def __init__(self) -> None:
        self._seconds: dict[int, hll_sketch] = {}
        self._merged: hll_sketch | None = None

    @property
    def is_empty(self) -> bool:
        return not self._seconds

    @property
    def oldest(self) -> int:
        return min(self._seconds)

    def add(self, visitor: str, second: int) -> None:
        sketch = self._seconds.get(second)
        if sketch is None:
            sketch = self._seconds[second] = hll_sketch(VISITORS_LG_K, _COMPACT)
        sketch.update(visitor)
        self._merged = None

    def forget_before(self, begin: int) -> bool:
        old = [second for second in self._seconds if second < begin]
        for second in old:
            del self._seconds[second]
            self._merged = None
        return bool(old)

    def merged(self) -> hll_sketch:
        if self._merged is None:
            union = hll_union(VISITORS_LG_K)
            for sketch in self._seconds.values():
                union.update(sketch)
            self._merged = union.get_result(_COMPACT)
        return self._merged
