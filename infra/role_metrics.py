"""Metrics of the roles that serve no HTTP, from what they write to their status files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from infra.role_status import read_status, why_not_ready


class RoleMetrics(Collector):
    """Reads the status files when the metrics are asked for; a role without one counts zero."""

    def __init__(self, status_files: Sequence[Path]) -> None:
        self._files = status_files

    def collect(self) -> Iterator[Metric]:
        """Yield what each role counted since it started."""
        ready = Metric("headrace_role_ready", "Whether a role of this machine is ready.", "gauge")
        for path in self._files:
            role = path.stem
            ready.add_sample(ready.name, {"role": role}, float(why_not_ready(path) is None))
            status = read_status(path)
            yield CounterMetricFamily(
                f"headrace_{role}_dead_letters",
                "Records that could not be processed, since the start.",
                value=0 if status is None else status.dead_letters,
            )
            yield CounterMetricFamily(
                f"headrace_{role}_states_left_early",
                "States that left a full table before their time, since the start.",
                value=0 if status is None else status.left_early,
            )
        yield ready
