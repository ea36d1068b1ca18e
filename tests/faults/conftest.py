"""The stack of a scenario, and the table that a run ends with."""

from typing import Any

import pytest

from tests.e2e.conftest import MakeStack, make_stack, seed
from tests.e2e.stack import Stack
from tests.faults.kafka_log import KafkaLog
from tests.faults.report import HEAD, figures
from tests.faults.scenario import SHORT_VISITS, MakeScenario, Scenario

__all__ = ["MakeStack", "make_stack", "seed"]

_FIGURES = "figures"


@pytest.fixture
def make_scenario(make_stack: MakeStack, request: pytest.FixtureRequest, seed: int) -> MakeScenario:
    """Give a function that starts a stack for a scenario, named as the test is."""
    name = request.node.name.removeprefix("test_").replace("_", " ")

    def note(stack: Stack, log: KafkaLog, recoveries: list[float]) -> None:
        line = figures(name, stack, log, recoveries).line()
        request.node.user_properties.append((_FIGURES, line))

    return lambda settings: Scenario(make_stack({**SHORT_VISITS, **settings}), seed, note)


@pytest.fixture
def scenario(make_scenario: MakeScenario) -> Scenario:
    """Give a scenario on a stack that is started."""
    return make_scenario({})


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show the table; what was run in other processes is in the reports, too."""
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if getattr(report, "when", "") == "call"
    ]
    lines = [dict(report.user_properties).get(_FIGURES) for report in reports]
    if found := [line for line in lines if line is not None]:
        terminalreporter.section("fault scenarios")
        for line in (HEAD, *sorted(found)):
            terminalreporter.write_line(line)
