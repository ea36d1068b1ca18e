"""Histograms for hot paths: not thread-safe, and with counts of equal values.

prometheus_client's own histogram takes a lock for each value, which costs a microsecond or more.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily

#: Bounds (s) of response times.
RESPONSE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
#: Bounds (s) of the time from the confirmation of an event to a result.
LATENCY_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
#: Bounds of numbers of records.
RECORDS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)


class Buckets:
    """The observations of one histogram, counted by upper bound."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float, count: int = 1) -> None:
        """Count a value, which was observed `count` times."""
        self._counts[bisect_left(self._bounds, value)] += count
        self._sum += value * count

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str] = ()) -> None:
        """Add the observations to a metric family."""
        bounds = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        counts = map(float, accumulate(self._counts))
        family.add_metric(labels, list(zip(bounds, counts, strict=True)), self._sum)
