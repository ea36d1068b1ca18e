"""The fixtures of fault scenarios."""

import pytest

from tests.e2e.conftest import MakeStack, make_stack, seed
from tests.e2e.stack import Stack
from tests.faults.kafka_log import KafkaLog
from tests.faults.report import PROPERTY, figures
from tests.faults.scenario import SHORT_VISITS, MakeScenario, Scenario

__all__ = ["MakeStack", "make_stack", "seed"]


@pytest.fixture
def make_scenario(make_stack: MakeStack, request: pytest.FixtureRequest, seed: int) -> MakeScenario:
    """Return a function that starts a scenario, which is named like the test."""
    name = request.node.name.removeprefix("test_").replace("_", " ")

    def report(stack: Stack, log: KafkaLog, recoveries: list[float]) -> None:
        line = figures(name, stack, log, recoveries).line()
        request.node.user_properties.append((PROPERTY, line))

    return lambda settings: Scenario(make_stack({**SHORT_VISITS, **settings}), seed, report)


@pytest.fixture
def scenario(make_scenario: MakeScenario) -> Scenario:
    """Return a scenario with a running stack."""
    return make_scenario({})
