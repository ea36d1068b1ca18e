"""Metrics of a role's status, and those of other processes, which write them to files."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from headrace.local import disk_space
from headrace.roles.status import RoleStatus, read_status, why_not_ready

#: The status of a role without a status file.
_NO_STATUS = RoleStatus(None, 0, 0, 0.0)


class StatusMetrics(Collector):
    """The metrics of this process' role; `read` returns its status, or None before the start."""

    def __init__(self, role: str, read: Callable[[], RoleStatus | None]) -> None:
        self._role = role
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics since the start."""
        status = self._read()
        yield from _families(self._role, status or _NO_STATUS)
        yield _ready({self._role: status is not None and status.not_ready is None})


class ReadyMetrics(Collector):
    """Whether this process is ready: if each of `checks` returns None."""

    def __init__(self, role: str, checks: Sequence[Callable[[], str | None]]) -> None:
        self._role = role
        self._checks = checks

    def collect(self) -> Iterator[Metric]:
        """Yield the metric."""
        yield _ready({self._role: all(check() is None for check in self._checks)})


class RoleMetrics(Collector):
    """The metrics of other processes, by their status files, `<process>.json`.

    A process is named as its role; further ones of a role have the label `process`. The files are
    read at each scrape; the counters of a missing one are zero.
    """

    def __init__(self, status_files: Sequence[Path]) -> None:
        self._files = status_files

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of each process since its start."""
        merged: dict[str, Metric] = {}
        for path in self._files:
            role = path.stem.partition("-")[0]
            labels = {} if path.stem == role else {"process": path.stem}
            for family in (*_families(role, read_status(path) or _NO_STATUS), *_read(path)):
                known = merged.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                for sample in family.samples:
                    known.add_sample(sample.name, {**sample.labels, **labels}, sample.value)
        yield from merged.values()
        yield _ready({path.stem: why_not_ready(path) is None for path in self._files})


def write_metrics(registry: CollectorRegistry, status_file: Path) -> None:
    """Write the metrics of this process next to its status file. Raises `OSError`."""
    disk_space.write_atomically(_file_of(status_file), generate_latest(registry).decode())


def _file_of(status_file: Path) -> Path:
    return status_file.with_suffix(".prom")


def _read(status_file: Path) -> Iterable[Metric]:
    """Return the metrics that a process has written; none without a file."""
    with suppress(OSError, ValueError):
        return list(text_string_to_metric_families(_file_of(status_file).read_text("utf-8")))
    return ()


def _ready(roles: dict[str, bool]) -> Metric:
    ready = Metric("headrace_role_ready", "Whether the process of a role is ready.", "gauge")
    for role, is_ready in roles.items():
        ready.add_sample(ready.name, {"role": role}, float(is_ready))
    return ready


def _families(role: str, status: RoleStatus) -> Iterator[Metric]:
    yield CounterMetricFamily(
        f"headrace_{role}_dead_letters",
        "Records that could not be processed, since the start.",
        value=status.dead_letters,
    )
    yield CounterMetricFamily(
        f"headrace_{role}_states_evicted",
        "States evicted from a full table, since the start.",
        value=status.evicted,
    )
    yield CounterMetricFamily(
        f"headrace_{role}_states_left_early",
        f"Deprecated name of headrace_{role}_states_evicted_total.",
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
