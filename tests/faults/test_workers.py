"""Workers join, leave, freeze and resume; partitions move between them."""

import os
import random
import signal
from contextlib import suppress

import pytest

from tests.faults.scenario import Scenario, sleep
from tests.faults.workers import RoleProcess, Workers, workers_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

#: Twice the session timeout: the partitions have been reassigned.
_FROZEN_SECONDS = 20


@pytest.mark.parametrize("role", ["streams", "sinks"])
def test_a_frozen_worker_resumes_after_its_partitions_moved(scenario: Scenario, role: str) -> None:
    """It is fenced: it exits before it writes its batch in progress."""
    stack = scenario.stack
    with scenario.load() as load, workers_of(stack) as workers:
        workers.start(role).wait_ready()
        load.more(200)
        frozen = stack.pid(role)
        assert frozen is not None
        os.kill(frozen, signal.SIGSTOP)
        sleep(_FROZEN_SECONDS)
        scenario.recover()
        with suppress(ProcessLookupError):  # `up` kills it if it holds SQLite's lock
            os.kill(frozen, signal.SIGCONT)
        stack.until_replaced(role, frozen)
        scenario.recover()
    scenario.check()


@pytest.mark.parametrize("role", ["streams", "sinks"])
def test_workers_scale_from_one_to_three_and_back_in_three_rounds(
    scenario: Scenario, role: str
) -> None:
    """They stop gracefully or by kill -9; each change moves partitions under load."""
    choose = random.Random(scenario.seed)  # noqa: S311
    with scenario.load() as load, workers_of(scenario.stack) as workers:
        for _ in range(3):
            added = _start_two(workers, role)
            load.more(choose.randrange(50, 400))
            scenario.recover()
            for worker in added:
                load.more(choose.randrange(50, 200))
                _stop(worker, choose)
            scenario.recover()
    scenario.check()


def _start_two(workers: Workers, role: str) -> list[RoleProcess]:
    started = [workers.start(role), workers.start(role)]
    for worker in started:
        worker.wait_ready()
    return started


def _stop(worker: RoleProcess, choose: random.Random) -> None:
    if choose.random() < 0.5:
        worker.kill()
    else:
        assert worker.end() == 0, worker.log.read_text()
