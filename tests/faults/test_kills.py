"""Processes are killed as a crash kills them, again and again, while events come in."""

import random
import signal

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
def test_each_role_is_killed_ten_times_at_random_moments(scenario: Scenario) -> None:
    """Under load, kill -9, in any order, some while others start: nothing is lost or doubled."""
    choose = random.Random(scenario.seed)  # noqa: S311
    stack, roles = scenario.stack, ["web", "streams", "live", "sinks"]
    with scenario.load() as load:
        for _ in range(10):
            killed = {}
            for role in choose.sample(roles, len(roles)):
                load.more(choose.randrange(10, 200))
                killed[role] = stack.pid(role)
                stack.send(role, signal.SIGKILL)
            for role, pid in killed.items():
                stack.until_replaced(role, pid)
            if choose.random() < 0.4:  # else the next kills find them in the middle of their start
                scenario.recover()
        scenario.recover()
    scenario.check()


@pytest.mark.faults_long
@pytest.mark.timeout(420)
def test_the_broker_is_killed_ten_times_at_random_moments(scenario: Scenario) -> None:
    """Under load, kill -9: what it had acknowledged is there."""
    choose = random.Random(scenario.seed)  # noqa: S311
    with scenario.load() as load:
        for _ in range(10):
            load.more(choose.randrange(50, 400))
            scenario.stack.kill("kafka")
            if choose.random() < 0.4:
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
