"""Metrics of the roles that serve no HTTP, from what they write to their status files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from infra.role_status import RoleStatus, read_status, why_not_ready

#: Of a role that has not said anything yet.
_NOTHING = RoleStatus(None, 0, 0, 0.0)


class RoleMetrics(Collector):
    """Reads the status files at each scrape; a role without one counts zero."""

    def __init__(self, status_files: Sequence[Path]) -> None:
        self._files = status_files

    def collect(self) -> Iterator[Metric]:
        """Yield what each role counted since it started."""
        ready = Metric("headrace_role_ready", "Whether a role of this machine is ready.", "gauge")
        for path in self._files:
            role = path.stem
            ready.add_sample(ready.name, {"role": role}, float(why_not_ready(path) is None))
            status = read_status(path) or _NOTHING
            yield CounterMetricFamily(
                f"headrace_{role}_dead_letters",
                "Records that could not be processed, since the start.",
                value=status.dead_letters,
            )
            yield CounterMetricFamily(
                f"headrace_{role}_states_left_early",
                "States that left a full table before their time, since the start.",
                value=status.left_early,
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
                    "Records of events-raw that had expired before they were routed when the role "
                    "started.",
                    value=status.expired,
                )
                yield GaugeMetricFamily(
                    "headrace_dead_letters_discarded",
                    "Dead letters that operators discarded (headrace dlq discard) and the topic "
                    "replays still holds.",
                    value=status.discarded,
                )
        yield ready
