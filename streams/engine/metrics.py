"""The metrics of a worker, named `headrace_<role>_…`. They are updated once per batch."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from schemas.metric_buckets import RECORDS, RESPONSE_SECONDS, Buckets
from streams.engine.batch import Batch
from streams.engine.capacity import Capacity
from streams.engine.circuit_breaker import CircuitBreaker
from streams.engine.group import GroupMember
from streams.engine.restoration import Restoration


class BatchCounters:
    """The batches of each agent, and their dead letters by reason."""

    def __init__(self) -> None:
        self.records: dict[str, Buckets] = {}
        self.seconds: dict[str, Buckets] = {}
        #: By agent and reason.
        self.dead_letters: Counter[tuple[str, str]] = Counter()

    def register(self, agent: str) -> None:
        """Expose the histograms of an agent before its first batch."""
        self.records[agent] = Buckets(RECORDS)
        self.seconds[agent] = Buckets(RESPONSE_SECONDS)

    def observe(self, batch: Batch, seconds: float) -> None:
        """Count a batch whose effects became durable after `seconds`."""
        self.records[batch.stage].observe(len(batch.records))
        self.seconds[batch.stage].observe(seconds)


class WorkerMetrics(Collector):
    """Exposes the metrics of a worker, with `role` in their names."""

    def __init__(  # noqa: PLR0913 - what it reads
        self,
        role: str,
        *,
        group: GroupMember,
        counters: BatchCounters,
        breaker: CircuitBreaker,
        capacity: Capacity,
        restoration: Restoration,
    ) -> None:
        self._prefix = f"headrace_{role}"
        self._group = group
        self._counters = counters
        self._breaker = breaker
        self._capacity = capacity
        self._restoration = restoration
        #: A role may register more metrics.
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield from self._lag()
        yield from self._batches()
        yield from self._assignment()
        yield from self._states()

    def _lag(self) -> Iterator[Metric]:
        labels = ["topic", "partition"]
        records = GaugeMetricFamily(
            f"{self._prefix}_lag_records", "Records that are not processed yet.", labels=labels
        )
        seconds = GaugeMetricFamily(
            f"{self._prefix}_lag_seconds",
            "Age of the oldest record that is not processed yet; 0 if there is none.",
            labels=labels,
        )
        for tp, lag in self._group.lag.measure(dict(self._group.done)).items():
            values = [tp.topic, str(tp.partition)]
            records.add_metric(values, lag.records)
            seconds.add_metric(values, lag.seconds)
        yield from (records, seconds)

    def _batches(self) -> Iterator[Metric]:
        counters = self._counters
        records = HistogramMetricFamily(
            f"{self._prefix}_batch_records", "Records of a batch.", labels=["agent"]
        )
        seconds = HistogramMetricFamily(
            f"{self._prefix}_batch_seconds",
            "Time from the start of a batch until its effects are durable.",
            labels=["agent"],
        )
        for family, buckets in ((records, counters.records), (seconds, counters.seconds)):
            for agent, one in list(buckets.items()):
                one.add_to(family, [agent])
            yield family
        letters = CounterMetricFamily(
            f"{self._prefix}_agent_dead_letters",
            "Dead letters by agent and reason.",
            labels=["agent", "reason"],
        )
        for key, count in list(counters.dead_letters.items()):
            letters.add_metric(key, count)
        yield letters

    def _assignment(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            f"{self._prefix}_rebalances", "Assignments of partitions.", value=self._group.generation
        )
        yield GaugeMetricFamily(
            f"{self._prefix}_assigned_partitions",
            "Partitions that the worker owns, of all topics.",
            value=len(self._group.owned),
        )
        yield GaugeMetricFamily(
            f"{self._prefix}_stopped_partitions",
            "Partitions that the circuit breaker stopped.",
            value=len(self._breaker.stopped),
        )
        yield GaugeMetricFamily(
            f"{self._prefix}_restoration_records",
            "Changelog records to restore in the current or last restoration.",
            value=self._restoration.total,
        )
        yield GaugeMetricFamily(
            f"{self._prefix}_restoration_remaining_records",
            "Changelog records that are not restored yet; 0 if nothing is being restored.",
            value=self._restoration.remaining,
        )

    def _states(self) -> Iterator[Metric]:
        states = GaugeMetricFamily(
            f"{self._prefix}_states", "Keyed states in memory.", labels=["table"]
        )
        state_bytes = GaugeMetricFamily(
            f"{self._prefix}_state_bytes", "Memory of the keyed states.", labels=["table"]
        )
        for table in self._capacity.tables:
            parts = list(table.parts)
            states.add_metric([table.topic.base_name], sum(map(len, parts)))
            state_bytes.add_metric([table.topic.base_name], sum(one.size_bytes for one in parts))
        yield from (states, state_bytes)
