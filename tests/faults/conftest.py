"""The stack of a scenario, and the table that a run ends with."""

from typing import Any

import pytest

from tests.e2e.conftest import MakeStack, make_stack, seed
from tests.e2e.stack import Stack
from tests.faults.kafka_log import KafkaLog
from tests.faults.report import HEAD, Figures, figures
from tests.faults.scenario import SHORT_VISITS, MakeScenario, Scenario

__all__ = ["MakeStack", "make_stack", "seed"]

_FIGURES: pytest.StashKey[list[Figures]] = pytest.StashKey()


@pytest.fixture
def make_scenario(make_stack: MakeStack, request: pytest.FixtureRequest, seed: int) -> MakeScenario:
    """Give a function that starts a stack for a scenario, named as the test is."""
    lines = request.config.stash.setdefault(_FIGURES, [])
    name = request.node.name.removeprefix("test_").replace("_", " ")

    def note(stack: Stack, log: KafkaLog, recoveries: list[float]) -> None:
        lines.append(figures(name, stack, log, recoveries))

    return lambda settings: Scenario(make_stack({**SHORT_VISITS, **settings}), seed, note)


@pytest.fixture
def scenario(make_scenario: MakeScenario) -> Scenario:
    """Give a scenario on a stack that is started."""
    return make_scenario({})


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show the table."""
    if lines := config.stash.get(_FIGURES, []):
        terminalreporter.section("fault scenarios")
        for line in (HEAD, *(one.line() for one in lines)):
            terminalreporter.write_line(line)
