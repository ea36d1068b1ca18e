"""Processes are killed as a crash kills them, again and again, while events come in."""

import random

import pytest

from tests.e2e.stack import Stack
from tests.faults.checks import Rules, check_exact
from tests.faults.conftest import MakeStack, Report
from tests.faults.load import Load
from tests.faults.quiescence import close_all_visits, quiesce

#: Visits end within seconds, so that closing, late joins and merging are in every run.
SHORT_VISITS = {
    "HEADRACE_SESSION__GAP_SECONDS": "6",
    "HEADRACE_SESSION__LATENESS_SECONDS": "2",
    "HEADRACE_STREAMS__TICK_SECONDS": "1",
}
SHORT = Rules(gap_seconds=6, all_closed=True)


def settle(stack: Stack, load: Load, report: Report, recoveries: list[float]) -> None:
    """Wait until the stack is at rest, hold it against the ledger, and note its figures."""
    quiesce(stack)
    close_all_visits(stack)
    report(stack, check_exact(stack, SHORT, load.ledger), recoveries)


@pytest.mark.fault
@pytest.mark.timeout(300)
def test_each_role_is_killed_once_while_events_come_in(
    make_stack: MakeStack, report: Report, seed: int
) -> None:
    """Then the database is the fold of its events, and they are those that clients know of."""
    stack = make_stack(SHORT_VISITS)
    roles = ["web", "streams", "live", "sinks", "kafka"]
    random.Random(seed).shuffle(roles)  # noqa: S311
    with Load(stack, seed) as load:
        for role in roles:
            load.more(200)
            stack.kill(role)
        recovery = load.probe()
    settle(stack, load, report, [recovery])


@pytest.mark.faults_long
@pytest.mark.timeout(420)
@pytest.mark.parametrize("role", ["web", "streams", "live", "sinks", "kafka"])
def test_a_role_is_killed_ten_times_at_random_moments(
    make_stack: MakeStack, report: Report, seed: int, role: str
) -> None:
    """Under load, kill -9: nothing is lost, nothing is counted twice."""
    stack = make_stack(SHORT_VISITS)
    choose = random.Random(seed)  # noqa: S311
    recoveries = []
    with Load(stack, seed) as load:
        for _ in range(10):
            load.more(choose.randrange(50, 600))
            stack.kill(role)
            recoveries.append(load.probe())
    settle(stack, load, report, recoveries)


@pytest.mark.faults_long
@pytest.mark.timeout(420)
def test_headrace_up_itself_is_killed_ten_times(
    make_stack: MakeStack, report: Report, seed: int
) -> None:
    """All processes die with it; the next start goes on with the data directory as it is."""
    stack = make_stack(SHORT_VISITS)
    choose = random.Random(seed)  # noqa: S311
    recoveries = []
    with Load(stack, seed) as load:
        for _ in range(10):
            load.more(choose.randrange(50, 600))
            stack.crash()
            stack.start()
            recoveries.append(load.probe())
    settle(stack, load, report, recoveries)
