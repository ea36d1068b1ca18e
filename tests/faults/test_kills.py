"""Processes are killed as a crash kills them, again and again, while events come in."""

import random

import pytest

from tests.faults.scenario import Scenario


@pytest.mark.fault
@pytest.mark.timeout(300)
def test_each_role_is_killed_once(scenario: Scenario) -> None:
    """Then the database is the fold of its events, and they are those that clients know of."""
    roles = ["web", "streams", "live", "sinks", "kafka"]
    random.Random(scenario.seed).shuffle(roles)  # noqa: S311
    with scenario.load() as load:
        for role in roles:
            load.more(150)
            scenario.stack.kill(role)
        scenario.recover()
    scenario.check()


@pytest.mark.faults_long
@pytest.mark.timeout(420)
@pytest.mark.parametrize("role", ["web", "streams", "live", "sinks", "kafka"])
def test_a_role_is_killed_ten_times_at_random_moments(scenario: Scenario, role: str) -> None:
    """Under load, kill -9: nothing is lost, nothing is counted twice."""
    choose = random.Random(scenario.seed)  # noqa: S311
    with scenario.load() as load:
        for _ in range(10):
            load.more(choose.randrange(50, 600))
            scenario.stack.kill(role)
            if choose.random() < 0.4:  # else the next kill finds it in the middle of its start
                scenario.recover()
        scenario.recover()
    scenario.check()


@pytest.mark.faults_long
@pytest.mark.timeout(420)
def test_headrace_up_itself_is_killed_five_times(scenario: Scenario) -> None:
    """All processes die with it; the next start goes on with the data directory as it is."""
    choose = random.Random(scenario.seed)  # noqa: S311
    with scenario.load() as load:
        for _ in range(5):
            load.more(choose.randrange(50, 600))
            scenario.stack.crash()
            scenario.stack.start()
        scenario.recover()
    scenario.check()
