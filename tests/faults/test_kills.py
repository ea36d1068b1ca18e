"""Processes are killed repeatedly under load."""

import random
import signal
from collections.abc import Callable

import pytest

from tests.faults.load import Load
from tests.faults.scenario import Scenario


@pytest.mark.fault
@pytest.mark.timeout(300)
def test_each_role_is_killed_once(scenario: Scenario) -> None:
    """Afterwards the database matches its events, and these match the ledger."""
    roles = ["web", "streams", "live", "sinks", "kafka"]
    random.Random(scenario.seed).shuffle(roles)  # noqa: S311
    with scenario.load() as load:
        for role in roles:
            load.more(150)
            scenario.stack.kill(role)
        scenario.recover()
    scenario.check()


def kill_repeatedly(
    scenario: Scenario, times: int, kill: Callable[[Load, random.Random], None]
) -> None:
    """Kill processes under load, sometimes while they start, and check that all is exact."""
    choose = random.Random(scenario.seed)  # noqa: S311
    with scenario.load() as load:
        for _ in range(times):
            kill(load, choose)
            if choose.random() < 0.4:
                scenario.recover()
        scenario.recover()
    scenario.check()


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_each_role_is_killed_ten_times_at_random_moments(scenario: Scenario) -> None:
    """By kill -9, in random order, some while others start."""
    stack, roles = scenario.stack, ["web", "streams", "live", "sinks"]

    def kill(load: Load, choose: random.Random) -> None:
        killed = {}
        for role in choose.sample(roles, len(roles)):
            load.more(choose.randrange(10, 200))
            killed[role] = stack.pid(role)
            stack.send(role, signal.SIGKILL)
        for role, pid in killed.items():
            stack.until_replaced(role, pid)

    kill_repeatedly(scenario, 10, kill)


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_the_broker_is_killed_ten_times_at_random_moments(scenario: Scenario) -> None:
    """By kill -9; acknowledged records are not lost."""

    def kill(load: Load, choose: random.Random) -> None:
        load.more(choose.randrange(50, 400))
        scenario.stack.kill("kafka")

    kill_repeatedly(scenario, 10, kill)


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_headrace_up_itself_is_killed_five_times(scenario: Scenario) -> None:
    """All processes are killed with it; the next start uses the data directory as it is."""

    def kill(load: Load, choose: random.Random) -> None:
        load.more(choose.randrange(50, 600))
        scenario.stack.crash()
        scenario.stack.start()

    kill_repeatedly(scenario, 5, kill)
