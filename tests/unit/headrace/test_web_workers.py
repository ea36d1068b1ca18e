"""The metrics of several web processes and workers at one `/metrics`."""

import os
import time
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from headrace.roles.metrics import RoleMetrics
from headrace.roles.status import RoleStatus
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


def test_a_web_process_exposes_the_metrics_of_all_by_worker(tmp_path: Path) -> None:
    """Each metric has one family; a process without a file is left out."""
    other = tmp_path / "web-2.prom"
    other.write_bytes(generate_latest(_registry(7)))
    exposed = CollectorRegistry()
    exposed.register(WorkerMetrics("web", _registry(3), [other, tmp_path / "web-3.prom"]))
    assert _samples(exposed) == {
        ("requests_total", "code=200", "worker=1"): 3,
        ("requests_total", "code=200", "worker=2"): 7,
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


def test_several_workers_of_a_role_are_distinguished_by_a_label(tmp_path: Path) -> None:
    """A role with one worker has no such label."""
    files = [tmp_path / f"{name}.json" for name in ("streams", "streams-2", "live")]
    for number, file in enumerate(files):
        file.write_bytes(msgspec.json.encode(RoleStatus(None, number, 0, time.time())))
    registry = CollectorRegistry()
    registry.register(RoleMetrics(files))
    samples = _samples(registry)
    assert samples["headrace_streams_dead_letters_total", "worker=1"] == 0
    assert samples["headrace_streams_dead_letters_total", "worker=2"] == 1
    assert samples["headrace_live_dead_letters_total",] == 2
    assert samples["headrace_role_ready", "role=streams", "worker=2"] == 1
    assert samples["headrace_role_ready", "role=live"] == 1
