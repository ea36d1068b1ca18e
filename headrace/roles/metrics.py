"""Metrics of the roles without an HTTP server, read from their status files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from headrace.roles.status import RoleStatus, read_status, why_not_ready

#: The status of a role without a status file.
_NO_STATUS = RoleStatus(None, 0, 0, 0.0)


class RoleMetrics(Collector):
    """Reads the status files at each scrape; the counters of a missing one are zero."""

    def __init__(self, status_files: Sequence[Path]) -> None:
        self._files = status_files

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of each role since its start."""
        ready = Metric("headrace_role_ready", "Whether a role of this machine is ready.", "gauge")
        for path in self._files:
            role = path.stem
            ready.add_sample(ready.name, {"role": role}, float(why_not_ready(path) is None))
            status = read_status(path) or _NO_STATUS
            yield CounterMetricFamily(
                f"headrace_{role}_dead_letters",
                "Records that could not be processed, since the start.",
                value=status.dead_letters,
            )
            yield CounterMetricFamily(
                f"headrace_{role}_states_left_early",
                "States evicted from a full table, since the start.",
                value=status.evicted,
            )
            if role in {"streams", "live"}:
                yield GaugeMetricFamily(
                    f"headrace_{role}_clock_deviation_seconds",
                    "How far Kafka's clock is ahead of the worker's; negative if it is behind.",
                    value=status.clock_deviation,
                )
            if role == "streams":
                yield GaugeMetricFamily(
                    "headrace_streams_events_expired",
                    "Records of events-raw that expired before the role could route them.",
                    value=status.expired,
                )
                yield GaugeMetricFamily(
                    "headrace_dead_letters_discarded",
                    "Dead letters discarded by operators, as retained in the topic replays.",
                    value=status.discarded,
                )
        yield ready
