"""The metrics of several web processes at one `/metrics`."""

import os
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from headrace.roles.web_workers import WorkerMetrics


def _registry(count: int) -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("requests", "Requests.", ["code"], registry=registry).labels("200").inc(count)
    return registry


def _samples(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    text = generate_latest(registry).decode()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    return {
        (sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_a_web_process_exposes_the_metrics_of_all_by_process(tmp_path: Path) -> None:
    """Each metric has one family; a process without a file is left out."""
    other = tmp_path / "web-2.prom"
    other.write_bytes(generate_latest(_registry(7)))
    exposed = CollectorRegistry()
    exposed.register(WorkerMetrics("web", _registry(3), [other, tmp_path / "web-3.prom"]))
    assert _samples(exposed) == {
        ("requests_total", "code=200"): 3,
        ("requests_total", "code=200", "process=web-2"): 7,
    }


def test_the_metrics_of_a_process_that_has_exited_are_left_out(tmp_path: Path) -> None:
    """Its counters start again from zero after the restart."""
    other = tmp_path / "web-2.prom"
    other.write_bytes(generate_latest(_registry(7)))
    before = time.time() - 60
    os.utime(other, (before, before))
    exposed = CollectorRegistry()
    exposed.register(WorkerMetrics("web", _registry(3), [other]))
    assert list(_samples(exposed).values()) == [3]
