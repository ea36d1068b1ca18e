"""Web processes of `headrace up` that share a port: the status and the metrics of each one.

A client reaches any of them, so each one exposes the metrics of all. Those of the
second and further ones have the label `process`, as those of the other roles.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from headrace.local.workers import number_of
from headrace.roles.metrics import write_metrics
from headrace.roles.status import STALE_SECONDS, RoleStatus, StatusFile

_STATUS_SECONDS = 1.0
#: Until the process is ready, because `headrace up` waits for it.
_NOT_READY_SECONDS = 0.03
_METRICS_SECONDS = 2.0


async def report_status(path: Path, problem: Callable[[], str | None]) -> None:
    """Update a status file until cancelled. `problem` returns why the process is not ready."""
    file, reported, reported_at = StatusFile(path), None, float("-inf")
    while True:
        reason, now = problem(), time.time()
        if reason != reported or now - reported_at >= _STATUS_SECONDS:
            file.write(RoleStatus(reason, 0, 0, now))
            reported, reported_at = reason, now
        await asyncio.sleep(_STATUS_SECONDS if reason is None else _NOT_READY_SECONDS)


async def keep_metrics(registry: CollectorRegistry, status_file: Path) -> None:
    """Write the metrics of this process for the others, until cancelled.

    A write that fails, as on a full disk, is repeated with the next one.
    """
    while True:
        with suppress(OSError):
            write_metrics(registry, status_file)
        await asyncio.sleep(_METRICS_SECONDS)


class WorkerMetrics(Collector):
    """The metrics of all web processes: of this one now, of the others up to 2 s ago.

    `files` are the metrics files of the others. Those of a process that has exited are left out.
    """

    def __init__(self, name: str, registry: CollectorRegistry, files: Sequence[Path]) -> None:
        self._name = name
        self._registry = registry
        self._files = files

    def collect(self) -> Iterator[Metric]:
        """Yield each metric with the samples of all processes."""
        texts = {self._name: generate_latest(self._registry).decode()}
        for file in self._files:
            with suppress(OSError):
                if time.time() - file.stat().st_mtime <= _METRICS_SECONDS + STALE_SECONDS:
                    texts[file.stem] = file.read_text()
        families: dict[str, Metric] = {}
        for name, text in sorted(texts.items(), key=lambda item: number_of(item[0])):
            labels = {} if number_of(name) == 1 else {"process": name}
            for family in text_string_to_metric_families(text):
                merged = families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                for sample in family.samples:
                    merged.samples.append(sample._replace(labels={**sample.labels, **labels}))
        yield from families.values()
