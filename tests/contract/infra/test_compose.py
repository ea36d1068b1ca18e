"""The Compose file: valid, hardened, with settings and commands that exist."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.local.broker.jars import KAFKA_VERSION
from tests.contract.infra.manifests import (
    INFRA,
    METRICS_PORT,
    ROLES,
    is_setting,
    paths_of_api,
    paths_of_query,
    read_yaml,
    schema,
    schema_errors,
)
from tests.fixtures import caddy
from tests.fixtures.installed import find_installed
from tests.fixtures.promtool import promtool

COMPOSE: dict[str, Any] = read_yaml(INFRA / "compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]
#: Services of our image.
OURS = (*ROLES, "setup")
#: Servers whose entrypoints change the owner of their volumes and files.
WRITABLE = {"kafka", "postgres"}


def test_it_is_a_valid_compose_file() -> None:
    """By the schema that `docker compose config` uses."""
    assert schema_errors(schema("compose"), COMPOSE) == []


def test_every_variable_is_a_setting() -> None:
    """A container with an unknown one would exit at once."""
    names = {name for service in OURS for name in SERVICES[service]["environment"]}

    assert {"HEADRACE_DATABASE__URL", "HEADRACE_SECRETS__KEY_FILE"} <= names
    assert [name for name in names if not is_setting(name)] == []
    # An exported variable of the operator would be an error of every `headrace` on the host.
    text = (INFRA / "compose.yaml").read_text()
    assert re.findall(r"\$\{(HEADRACE_\w+)", text) == []


def test_each_role_runs_its_command() -> None:
    """All of the same image, which is built if it is missing."""
    for role in ROLES:
        assert SERVICES[role]["command"] == [role]
        assert CliRunner().invoke(app, [role, "--help"]).exit_code == 0
    commands = re.findall(r"^headrace (.+)$", SERVICES["setup"]["entrypoint"][-1], re.MULTILINE)
    assert commands == ["topics create", "db upgrade"]
    (image,) = {SERVICES[service]["image"] for service in OURS}
    (build,) = {str(SERVICES[service]["build"]) for service in OURS}
    assert (INFRA / ".." / "infra/docker/Dockerfile").exists()
    assert ("headrace" in image, "infra/docker/Dockerfile" in build) == (True, True)


def test_everything_waits_for_what_it_needs() -> None:
    """And reports whether it is healthy: roles by the health check of the image."""
    for role in ROLES:
        condition = SERVICES[role]["depends_on"]
        assert condition == {"setup": {"condition": "service_completed_successfully"}}
        assert "healthcheck" not in SERVICES[role]
    needed = SERVICES["setup"]["depends_on"]
    assert set(needed) == {"kafka", "postgres"}
    assert {need["condition"] for need in needed.values()} == {"service_healthy"}
    others = set(SERVICES) - set(OURS)
    assert [name for name in others if "test" not in SERVICES[name].get("healthcheck", {})] == []


def test_containers_are_restricted() -> None:
    """A read-only file system without capabilities, except for servers that change owners."""
    for name, service in SERVICES.items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if name not in WRITABLE:
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name


def test_only_the_proxy_is_reachable_from_other_machines() -> None:
    """Kafka and PostgreSQL have no port on the host, Prometheus and Grafana one on loopback."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published.pop("proxy") == ["80:80", "443:443", "443:443/udp"]
    assert set(published) == {"prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def _mounts() -> Iterator[tuple[str, str]]:
    """Yield the source of each mount, and its service."""
    for name, service in SERVICES.items():
        for mount in service.get("volumes", ()):
            yield mount.partition(":")[0], name


def test_mounts_exist() -> None:
    """Files of the repository, and named volumes."""
    for source, service in _mounts():
        if source.startswith("."):
            assert (INFRA / source).is_dir(), f"{service} mounts {source}"
        else:
            assert source in COMPOSE["volumes"], f"{service} mounts {source}"


def test_the_broker_is_that_of_the_tests() -> None:
    """And creates no topic by itself, which would have the wrong configuration."""
    kafka = SERVICES["kafka"]

    assert kafka["image"].rpartition(":")[2] == KAFKA_VERSION
    assert kafka["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    for service in OURS:
        servers = SERVICES[service]["environment"]["HEADRACE_KAFKA__BOOTSTRAP_SERVERS"]
        assert f"PLAINTEXT://{servers}" == kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"]


def test_prometheus_scrapes_every_role() -> None:
    """Each process of it, on the port of metrics, with the alert rules."""
    config = read_yaml(INFRA / "prometheus/prometheus.yml")
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    (discovery,) = jobs["headrace"]["dns_sd_configs"]

    assert sorted(discovery["names"]) == sorted(ROLES)
    assert (discovery["type"], discovery["port"]) == ("A", METRICS_PORT)
    assert config["rule_files"] == ["rules.yml"]
    checked = subprocess.run(
        [promtool(), "check", "config", "--lint-fatal", str(INFRA / "prometheus/prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    """At the places where the Compose file mounts them."""
    provisioning = INFRA / "grafana/provisioning"
    (source,) = read_yaml(provisioning / "datasources/prometheus.yaml")["datasources"]
    (provider,) = read_yaml(provisioning / "dashboards/headrace.yaml")["providers"]
    mounted = {mount.split(":")[1] for mount in SERVICES["grafana"]["volumes"]}

    assert source["url"] == "http://prometheus:9090"
    assert {provider["options"]["path"], "/etc/grafana/provisioning"} <= mounted


def test_the_proxy_is_valid_and_forwards_each_path_to_its_role(tmp_path: Path) -> None:
    """The paths of `query` are listed; all others are those of `api`."""
    config = caddy.CADDYFILE
    home = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    validated = subprocess.run(
        [find_installed("caddy"), "validate", "--adapter", "caddyfile", "--config", str(config)],
        env=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert validated.returncode == 0, validated.stderr

    (matcher,) = re.findall(r"@query path (.+)", config.read_text())
    patterns = [re.escape(pattern).replace(r"\*", ".*") for pattern in matcher.split()]

    def is_of_query(path: str) -> bool:
        return any(re.fullmatch(pattern, path) for pattern in patterns)

    assert [path for path in paths_of_query() if not is_of_query(path)] == []
    assert [path for path in paths_of_api() if is_of_query(path)] == []
