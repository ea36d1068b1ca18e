"""Processes are killed as a crash kills them, again and again, while events come in."""

import random
import signal
from collections.abc import Callable

import pytest

from tests.faults.load import Load
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


def strike_again_and_again(
    scenario: Scenario, times: int, strike: Callable[[Load, random.Random], None]
) -> None:
    """Have something die under load; at times the next strike finds it in the middle of its start.

    Then nothing is lost, and nothing is counted twice.
    """
    choose = random.Random(scenario.seed)  # noqa: S311
    with scenario.load() as load:
        for _ in range(times):
            strike(load, choose)
            if choose.random() < 0.4:
                scenario.recover()
        scenario.recover()
    scenario.check()


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_each_role_is_killed_ten_times_at_random_moments(scenario: Scenario) -> None:
    """By kill -9, in any order, some while others start."""
    stack, roles = scenario.stack, ["web", "streams", "live", "sinks"]

    def strike(load: Load, choose: random.Random) -> None:
        killed = {}
        for role in choose.sample(roles, len(roles)):
            load.more(choose.randrange(10, 200))
            killed[role] = stack.pid(role)
            stack.send(role, signal.SIGKILL)
        for role, pid in killed.items():
            stack.until_replaced(role, pid)

    strike_again_and_again(scenario, 10, strike)


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_the_broker_is_killed_ten_times_at_random_moments(scenario: Scenario) -> None:
    """By kill -9: what it had acknowledged is there."""

    def strike(load: Load, choose: random.Random) -> None:
        load.more(choose.randrange(50, 400))
        scenario.stack.kill("kafka")

    strike_again_and_again(scenario, 10, strike)


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_headrace_up_itself_is_killed_five_times(scenario: Scenario) -> None:
    """All processes die with it; the next start goes on with the data directory as it is."""

    def strike(load: Load, choose: random.Random) -> None:
        load.more(choose.randrange(50, 600))
        scenario.stack.crash()
        scenario.stack.start()

    strike_again_and_again(scenario, 5, strike)
