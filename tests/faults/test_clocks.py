"""Wrong clocks: stream time is the broker's, so no session closes early."""

from pathlib import Path

import pytest

from headrace.local.broker.ports import free_port
from tests.faults.load import Load
from tests.faults.scenario import MakeScenario, Scenario, why_not_ready
from tests.faults.workers import is_ready, workers_of
from tests.fixtures.clock import Clock
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

HOUR, DAY = 3_600, 86_400


@pytest.mark.parametrize("seconds", [3 * HOUR, -2 * DAY])
def test_the_clock_of_a_stream_worker_is_wrong(scenario: Scenario, seconds: int) -> None:
    """Each worker has some partitions, and its results do not depend on its clock."""
    stack = scenario.stack
    with scenario.load() as load, workers_of(stack) as workers:
        workers.start("streams", workers.wrong_clock(seconds)).wait_ready()
        load.more(600)
        for _ in range(3):
            scenario.recover()
        stack.kill("streams")  # the one with the wrong clock has all partitions for a while
        load.more(600)
        scenario.recover()
        assert workers.started[0].end() == 0
    scenario.check()


@pytest.mark.parametrize("seconds", [3 * HOUR, -3 * HOUR])
def test_the_clock_of_an_api_server_is_wrong(scenario: Scenario, seconds: int) -> None:
    """Only its own events have wrong times, and none is lost."""
    stack, port = scenario.stack, free_port()
    url = f"http://127.0.0.1:{port}"
    with scenario.load() as load, workers_of(stack) as workers:
        settings = {"HEADRACE_API__PORT": str(port), **workers.wrong_clock(seconds)}
        server = workers.start("api", settings)
        eventually(lambda: is_ready(url), within_seconds=60, what="the other server is ready")
        with Load(stack, scenario.seed + 1, url=url, ledger=load.ledger) as wrong:
            wrong.more(500)
        scenario.recover()
        assert server.end() == 0
    scenario.check(clock_error_seconds=abs(seconds))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seconds", [2 * DAY, -2 * DAY])
def test_the_clock_of_the_broker_is_wrong_for_a_while(
    make_scenario: MakeScenario, tmp_path: Path, seconds: int
) -> None:
    """No visit closes early or stays open, also after the clock is corrected; it is reported."""
    clock = Clock(tmp_path / "clock")
    # The broker alone reads this clock, not the roles.
    scenario = make_scenario({"JAVA_HOME": clock.settings["JAVA_HOME"]})
    with scenario.load() as load:
        load.more(300)
        clock.set(seconds)
        eventually(
            lambda: "clock" in why_not_ready(scenario.stack),
            within_seconds=90,
            what="readiness reports the clock",
        )
        load.more(600)
        clock.set(0)
        load.more(300)
        eventually(
            lambda: not why_not_ready(scenario.stack),
            within_seconds=90,
            what="readiness is back",
        )
        scenario.recover()
    scenario.check(is_log_time_right=False)
