"""The metrics of the role `live` that those of its worker do not include."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.agents.count_live import Counting


class LiveMetrics(Collector):
    """Exposes how many sites have live counters, and what was evicted at the limits."""

    def __init__(self, counting: Counting) -> None:
        self._counting = counting

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the assigned partitions."""
        partitions = self._counting.sites
        yield GaugeMetricFamily(
            "headrace_live_sites",
            "Sites with live counters, each counted once per partition.",
            value=sum(map(len, partitions)),
        )
        yield CounterMetricFamily(
            "headrace_live_sites_evicted",
            "Sites evicted at the limit of a partition.",
            value=sum(sites.evicted for sites in partitions),
        )
        yield CounterMetricFamily(
            "headrace_live_sessions_evicted",
            "Sessions evicted at the limit of a partition.",
            value=sum(sites.evicted_sessions for sites in partitions),
        )
