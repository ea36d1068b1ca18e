"""Unique visitors of the last minutes: one sketch per second, so that old ones expire."""

from schemas.live import ACTIVE_SECONDS
from schemas.visitor_sketch import coupon_of, merge, pack

#: Seconds per merged sketch, so that a query merges few sketches instead of 300.
_SPAN_SECONDS = 10


class VisitorWindow:
    """Counts visitors of the last 300 seconds, including the current one."""

    def __init__(self) -> None:
        #: The current second and its coupons, which are not in `_spans` yet.
        self._second = 0
        self._coupons: set[int] = set()
        self._spans: dict[int, _Span] = {}
        #: The sketches of the inner spans, and their merged sketch.
        self._inner: list[bytes] = []
        self._inner_merged = b""

    def add(self, visitor: str, second: int) -> None:
        """Add a visitor of a second."""
        if second != self._second:
            self._seal()
            self._second = second
        self._coupons.add(coupon_of(visitor))

    def decay(self, now_s: int) -> bool:
        """Remove expired seconds; return True if there were any."""
        self._seal()
        begin = now_s - ACTIVE_SECONDS + 1
        old = [start for start in self._spans if start < begin]
        changed = False
        for start in old:
            changed |= self._spans[start].remove_before(begin)
            if self._spans[start].is_empty:
                del self._spans[start]
        return changed

    @property
    def next_decay_s(self) -> int | None:
        """The second in which the next count expires; None without visitors."""
        self._seal()
        if not self._spans:
            return None
        return self._spans[min(self._spans)].oldest + ACTIVE_SECONDS

    def packed(self) -> bytes:
        """Return the merged sketch, in the format of `LiveCounters.visitors`."""
        spans = [self._spans[start].merged() for start in sorted(self._spans)]
        inner = spans[1:-1]
        if inner != self._inner:
            self._inner, self._inner_merged = inner, merge(inner)
        return merge((*spans[:1], self._inner_merged, *spans[-1:], pack(self._coupons)))

    def _seal(self) -> None:
        """Convert the coupons of a second into a sketch, which takes a tenth of the memory."""
        if self._coupons:
            start = self._second - self._second % _SPAN_SECONDS
            span = self._spans.get(start)
            if span is None:
                span = self._spans[start] = _Span()
            span.add(self._second, pack(self._coupons))
            self._coupons = set()


class _Span:
    """The sketches of several seconds, and their merged sketch."""

    def __init__(self) -> None:
        self._seconds: dict[int, bytes] = {}
        self._merged = b""
        self._unmerged: list[bytes] = []

    @property
    def is_empty(self) -> bool:
        return not self._seconds

    @property
    def oldest(self) -> int:
        return min(self._seconds)

    def add(self, second: int, sketch: bytes) -> None:
        known = self._seconds.get(second)
        self._seconds[second] = sketch if known is None else merge((known, sketch))
        self._unmerged.append(sketch)

    def remove_before(self, begin: int) -> bool:
        old = [second for second in self._seconds if second < begin]
        for second in old:
            del self._seconds[second]
        if old:
            self._merged, self._unmerged = b"", [*self._seconds.values()]
        return bool(old)

    def merged(self) -> bytes:
        if self._unmerged:
            self._merged = merge((self._merged, *self._unmerged))
            self._unmerged = []
        return self._merged
