"""The metrics of the role `sinks` that those of its worker do not include."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from schemas.metric_buckets import LATENCY_SECONDS, Buckets
from schemas.stages import SINK_STAGES
from sinks.delivery.dispatcher import Dispatcher
from sinks.sql.writer import Writer


class Latencies:
    """The time from the log append time of records until they are committed in SQL, by agent."""

    def __init__(self) -> None:
        self.by_agent = {agent: Buckets(LATENCY_SECONDS) for agent in SINK_STAGES}

    def observe(self, agent: str, records: Iterable[Any], now: float) -> None:
        """Count records committed at `now` (s), without punctuation records and tombstones."""
        buckets = self.by_agent[agent]
        # Records that Kafka appended together have the same time.
        times = Counter(record.timestamp for record in records if record.value is not None)
        for appended_ms, count in times.items():
            buckets.observe(max(0.0, now - appended_ms / 1_000), count)


class SinkMetrics(Collector):
    """Exposes the latencies, transactions and deliveries of the role."""

    def __init__(self, latencies: Latencies, writer: Writer, dispatcher: Dispatcher) -> None:
        self._latencies = latencies
        self._transactions = writer.counters
        self._dispatcher = dispatcher

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        latency = HistogramMetricFamily(
            "headrace_sinks_latency_seconds",
            "Time from a record's log append time until it is committed in SQL. For store_events: "
            "from the 202 of an event.",
            labels=["agent"],
        )
        for agent, buckets in self._latencies.by_agent.items():
            buckets.add_to(latency, [agent])
        yield latency
        seconds = HistogramMetricFamily(
            "headrace_sinks_transaction_seconds", "Duration of the SQL transactions of batches."
        )
        self._transactions.seconds.add_to(seconds)
        yield seconds
        rows = CounterMetricFamily(
            "headrace_sinks_rows",
            "Rows in committed batches, including those that were stored before.",
            labels=["table"],
        )
        for table, count in list(self._transactions.rows.items()):
            rows.add_metric([table], count)
        yield rows
        attempts = CounterMetricFamily(
            "headrace_sinks_delivery_attempts",
            "Attempts to deliver an alert: delivered, retried later, failed for good, or lost to "
            "another process.",
            labels=["outcome"],
        )
        for outcome, count in list(self._dispatcher.outcomes.items()):
            attempts.add_metric([outcome], count)
        yield attempts
