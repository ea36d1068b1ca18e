"""Metrics of the roles without an HTTP server, read from their status files."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from headrace.local.workers import number_of, role_of
from headrace.roles.status import RoleStatus, read_status, why_not_ready

#: The status of a role without a status file.
_NO_STATUS = RoleStatus(None, 0, 0, 0.0)


class RoleMetrics(Collector):
    """Reads the status files at each scrape; the counters of a missing one are zero.

    If a role has several workers, their samples have the label `worker`.
    """

    def __init__(self, status_files: Sequence[Path]) -> None:
        self._files: defaultdict[str, list[Path]] = defaultdict(list)
        for path in status_files:
            self._files[role_of(path.stem)].append(path)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of each worker since its start."""
        ready = Metric("headrace_role_ready", "Whether a role of this machine is ready.", "gauge")
        for role, paths in self._files.items():
            label = ["worker"] if len(paths) > 1 else []
            families = _families(role, label)
            for path in paths:
                worker = [str(number_of(path.stem))][: len(label)]
                labels = {"role": role, **dict(zip(label, worker, strict=True))}
                ready.add_sample(ready.name, labels, float(why_not_ready(path) is None))
                status = read_status(path) or _NO_STATUS
                for family, field in families:
                    family.add_metric(worker, getattr(status, field))
            yield from (family for family, _ in families)
        yield ready


def _families(
    role: str, label: Sequence[str]
) -> list[tuple[CounterMetricFamily | GaugeMetricFamily, str]]:
    """Return the metrics of a role without samples, each with its field of `RoleStatus`."""
    families: list[tuple[CounterMetricFamily | GaugeMetricFamily, str]] = [
        (
            CounterMetricFamily(
                f"headrace_{role}_dead_letters",
                "Records that could not be processed, since the start.",
                labels=label,
            ),
            "dead_letters",
        ),
        (
            CounterMetricFamily(
                f"headrace_{role}_states_left_early",
                "States evicted from a full table, since the start.",
                labels=label,
            ),
            "evicted",
        ),
    ]
    if role in {"streams", "live"}:
        clock = GaugeMetricFamily(
            f"headrace_{role}_clock_deviation_seconds",
            "How far Kafka's clock is ahead of the worker's; negative if it is behind.",
            labels=label,
        )
        families.append((clock, "clock_deviation"))
    if role == "streams":
        expired = GaugeMetricFamily(
            "headrace_streams_events_expired",
            "Records of events-raw that expired before the role could route them.",
            labels=label,
        )
        discarded = GaugeMetricFamily(
            "headrace_dead_letters_discarded",
            "Dead letters discarded by operators, as retained in the topic replays.",
            labels=label,
        )
        families += [(expired, "expired"), (discarded, "discarded")]
    return families
