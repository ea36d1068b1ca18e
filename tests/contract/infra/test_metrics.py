"""Rules, dashboards and documentation name exactly the metrics that the roles expose."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.fixtures.promtool import promtool
from tests.fixtures.registries import exposed_name, families, registries

RULES = Path("infra/prometheus/rules.yml")
DASHBOARDS = sorted(Path("infra/grafana/dashboards").glob("*.json"))
DOCUMENT = Path("docs/monitoring.md")
_NAME = re.compile(r"\bheadrace_[a-z0-9_]+")
_SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
}


@pytest.fixture
async def roles() -> dict[str, CollectorRegistry]:
    """Return the registry of each role."""
    return registries()


@pytest.fixture
def series(roles: dict[str, CollectorRegistry]) -> set[str]:
    """Return the names of all time series of all roles."""
    return {
        family.name + suffix
        for registry in roles.values()
        for family in families(registry)
        for suffix in _SUFFIXES[family.type]
    }


def expressions(dashboard: Path) -> Iterator[str]:
    """Yield the queries of a dashboard."""
    for panel in json.loads(dashboard.read_text())["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))


def test_rules_name_only_metrics_that_exist(series: set[str]) -> None:
    """In all expressions."""
    names = set(_NAME.findall(RULES.read_text()))

    assert names
    assert names - series == set()


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_names_only_metrics_that_exist(dashboard: Path, series: set[str]) -> None:
    """Each panel has a title, a description and queries that name some."""
    queries = list(expressions(dashboard))
    recorded = set(re.findall(r"record: (\S+)", RULES.read_text()))

    assert queries
    assert {name for query in queries for name in _NAME.findall(query)} - series == set()
    assert {name for query in queries for name in re.findall(r"headrace:\w+", query)} <= recorded
    panels = [one for one in json.loads(dashboard.read_text())["panels"] if one["type"] != "row"]
    assert all(panel["title"] and panel["description"] for panel in panels)
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_document_has_a_line_for_each_metric_with_its_type(
    roles: dict[str, CollectorRegistry],
) -> None:
    """And none that does not exist."""
    rows = re.findall(r"^\| `(headrace_\w+)` \| (\w+) \|", DOCUMENT.read_text(), re.MULTILINE)
    documented = {
        (name.replace("ROLE", role), kind)
        for name, kind in rows
        for role in ("streams", "live", "sinks")
    }
    exposed = {
        (exposed_name(family), family.type)
        for registry in roles.values()
        for family in families(registry)
    }

    assert exposed - documented == set()
    # A line with ROLE may be about two of the three roles.
    role_of = re.compile("headrace_(streams|live|sinks)_")
    extra = {(role_of.sub("headrace_ROLE_", name), kind) for name, kind in documented - exposed}
    assert extra <= {(role_of.sub("headrace_ROLE_", name), kind) for name, kind in exposed}


def test_names_say_the_role_and_the_unit(roles: dict[str, CollectorRegistry]) -> None:
    """Of each role, and not of another one."""
    for role, registry in roles.items():
        for family in families(registry):
            shared = {"headrace_role_ready", "headrace_dead_letters_discarded"}
            assert family.name in shared or family.name.startswith(f"headrace_{role}_")
            assert not family.name.endswith(("_ms", "_milliseconds", "_count", "_sum"))


def test_promtool_accepts_all_metrics(roles: dict[str, CollectorRegistry]) -> None:
    """Their names, types and help texts."""
    for role, registry in roles.items():
        checked = subprocess.run(
            [promtool(), "check", "metrics"],
            input=generate_latest(registry),
            capture_output=True,
            check=False,
        )
        assert (role, checked.returncode, checked.stdout, checked.stderr) == (role, 0, b"", b"")


@pytest.mark.parametrize("command", [("check", "rules.yml"), ("test", "rules_test.yml")])
def test_promtool_accepts_the_rules(command: tuple[str, str]) -> None:
    """Their syntax, and what they do."""
    (what, file) = command
    checked = subprocess.run(
        [promtool(), what, "rules", file],
        cwd=RULES.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_says_what_to_do_and_is_tested() -> None:
    """A rule without a test may never fire."""
    text = RULES.read_text()
    alerts = re.findall(r"- alert: (\w+)", text)
    tested = Path("infra/prometheus/rules_test.yml").read_text()

    assert alerts
    assert text.count("action: ") == text.count("summary: ") == len(alerts)
    assert [alert for alert in alerts if alert not in tested] == []
