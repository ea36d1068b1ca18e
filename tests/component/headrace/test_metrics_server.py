"""The port with health checks and metrics of a role."""

import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from headrace.errors import UserError
from headrace.roles.metrics import RoleMetrics, StatusMetrics, write_metrics
from headrace.roles.metrics_server import serve_metrics
from headrace.roles.status import RoleStatus, StatusFile
from schemas.observation_settings import MetricsSettings


def get(port: int, path: str) -> tuple[int, str]:
    """Return the status and the body of a response."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_role_serves_health_readiness_and_metrics(unused_tcp_port: int) -> None:
    """The reason of the readiness, and nothing else; the port is closed afterwards."""
    registry, problems = CollectorRegistry(), ["Kafka is not reached"]
    registry.register(StatusMetrics("streams", lambda: RoleStatus(None, 3, 0, 0.0)))
    checks = [lambda: problems[0] if problems else None]
    settings = MetricsSettings(host="127.0.0.1", port=unused_tcp_port)

    with serve_metrics(registry, checks, settings):
        assert get(unused_tcp_port, "/healthz") == (200, '{"status":"ok"}')
        assert get(unused_tcp_port, "/readyz") == (
            503,
            '{"error":"Kafka is not reached","code":"not_ready"}',
        )
        problems.clear()
        assert get(unused_tcp_port, "/readyz")[0] == 200
        (status, text) = get(unused_tcp_port, "/metrics")
        assert status == 200
        assert "headrace_streams_dead_letters_total 3.0" in text
        assert get(unused_tcp_port, "/docs")[0] == 404

    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", unused_tcp_port), timeout=5)


def test_a_port_in_use_is_an_error_that_names_the_setting() -> None:
    """At the start of the role."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = MetricsSettings(host="127.0.0.1", port=taken.getsockname()[1])
        with (
            pytest.raises(UserError, match=r"the port is in use.*HEADRACE_METRICS__PORT"),
            serve_metrics(CollectorRegistry(), [], settings),
        ):
            pass


def test_without_a_port_nothing_is_served() -> None:
    """The default."""
    with serve_metrics(CollectorRegistry(), [], MetricsSettings()):
        pass


def test_the_metrics_of_other_processes_are_merged_by_role(tmp_path: Path) -> None:
    """Those of a second process of a role have a label; a missing process has zeros."""
    files = [tmp_path / f"{name}.json" for name in ("streams", "streams-2", "live")]
    for file, events in ((files[0], 5), (files[1], 7)):
        registry = CollectorRegistry()
        counter = Counter("headrace_streams_batches_total", "Batches.", registry=registry)
        counter.inc(events)
        StatusFile(file).write(RoleStatus(None, events, 0, 0.0))
        write_metrics(registry, file)
    registry = CollectorRegistry()
    registry.register(RoleMetrics(files))

    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    values = {
        (sample.name, sample.labels.get("process", "")): sample.value
        for family in families
        for sample in family.samples
    }
    assert len({family.name for family in families}) == len(families)
    assert values["headrace_streams_batches_total", ""] == 5
    assert values["headrace_streams_batches_total", "streams-2"] == 7
    assert values["headrace_streams_dead_letters_total", "streams-2"] == 7
    assert values["headrace_streams_states_evicted_total", ""] == 0
    assert values["headrace_live_dead_letters_total", ""] == 0
