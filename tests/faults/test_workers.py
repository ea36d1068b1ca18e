"""Workers come, go, stand still and wake up; partitions move from one to another."""

import os
import random
import signal
from contextlib import suppress

import pytest

from tests.faults.scenario import Scenario, hold
from tests.faults.workers import RoleProcess, Workers, workers_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

#: Twice the session timeout: the group has given its partitions to others long since.
_FROZEN_SECONDS = 20


@pytest.mark.parametrize("role", ["streams", "sinks"])
def test_a_frozen_worker_wakes_up_after_its_partitions_moved(scenario: Scenario, role: str) -> None:
    """It ends before it writes anything, and nothing of what it had in hand counts."""
    stack = scenario.stack
    with scenario.load() as load, workers_of(stack) as workers:
        workers.start(role).wait_ready()
        load.more(200)
        frozen = stack.pid(role)
        assert frozen is not None
        os.kill(frozen, signal.SIGSTOP)
        hold(_FROZEN_SECONDS)
        scenario.recover()
        with suppress(ProcessLookupError):  # killed by `up` if it held SQLite's lock all the time
            os.kill(frozen, signal.SIGCONT)
        stack.until_replaced(role, frozen)
        scenario.recover()
    scenario.check()


@pytest.mark.parametrize("role", ["streams", "sinks"])
def test_workers_go_from_one_to_three_and_back_in_three_rounds(
    scenario: Scenario, role: str
) -> None:
    """They leave in order or by kill -9, at random; each change moves partitions under load."""
    choose = random.Random(scenario.seed)  # noqa: S311
    with scenario.load() as load, workers_of(scenario.stack) as workers:
        for _ in range(3):
            more = _start_two(workers, role)
            load.more(choose.randrange(50, 400))
            scenario.recover()
            for worker in more:
                load.more(choose.randrange(50, 200))
                _leave(worker, choose)
            scenario.recover()
    scenario.check()


def _start_two(workers: Workers, role: str) -> list[RoleProcess]:
    more = [workers.start(role), workers.start(role)]
    for worker in more:
        worker.wait_ready()
    return more


def _leave(worker: RoleProcess, choose: random.Random) -> None:
    if choose.random() < 0.5:
        worker.kill()
    else:
        assert worker.end() == 0, worker.log.read_text()
