"""Rate limits by token buckets, each of which is a single number."""

#: How many seconds of its rate a bucket holds.
BURST_SECONDS = 10.0


class TokenBucket:
    """Holds up to `BURST_SECONDS` of tokens, and gets `rate` of them per second."""

    __slots__ = ("_full_at", "_rate")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._full_at = 0.0

    def take(self, now: float, *, borrows: bool = False) -> float:
        """Take a token at the time `now`; return 0.0, or the seconds until there is one.

        If it `borrows`, it takes the next one that there will be, and returns 0.0.
        """
        self._full_at, wait = _take(self._full_at, now, self._rate, borrows)
        return wait


class TokenBuckets:
    """One token bucket of the same rate for each key.

    At most `limit` buckets are kept. Full ones are dropped first, then those that were used least
    recently, which are full when their key comes back.
    """

    def __init__(self, rate: float, limit: int) -> None:
        self._rate = rate
        self._limit = limit
        #: When each bucket is full again. In the order of use.
        self._full_at: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: str, now: float, *, borrows: bool = False) -> float:
        """Take a token of a key at the time `now`, as `TokenBucket.take`. `now` is monotonic."""
        full_at = self._full_at.pop(key, 0.0)
        self._full_at[key], wait = _take(full_at, now, self._rate, borrows)
        self._evict(now)
        return wait

    def _evict(self, now: float) -> None:
        # Two for each new key at most, so that the table shrinks after a flood.
        for _ in range(2):
            oldest = next(iter(self._full_at))
            if self._full_at[oldest] > now and len(self._full_at) <= self._limit:
                return
            if len(self._full_at) > 1:
                del self._full_at[oldest]


def _take(full_at: float, now: float, rate: float, borrows: bool) -> tuple[float, float]:
    """Return when the bucket is full after taking a token, and how long to wait for one."""
    full_at = max(full_at, now)
    wait = full_at + 1 / rate - now - max(BURST_SECONDS, 1 / rate)
    # Rounding errors of sums over a burst are far below a microsecond.
    is_empty = wait > 1e-6  # noqa: PLR2004
    return (full_at, wait) if is_empty and not borrows else (full_at + 1 / rate, 0.0)
