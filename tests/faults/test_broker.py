"""The broker is away, stands still, or takes no records: everyone waits, and goes on."""

import signal

import pytest

from tests.faults.brokers import refuse_records
from tests.faults.scenario import Scenario, hold, why_not_ready
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

#: 10 s is the promise; the clock is that of a client that shares the machine with all of it.
_ANSWERED_WITHIN_SECONDS = 13


def test_the_broker_stands_still_for_90_seconds(scenario: Scenario) -> None:
    """Every request meanwhile is answered in time with a 5xx; then all goes on by itself."""
    stack = scenario.stack
    with scenario.load() as load:
        stack.send("kafka", signal.SIGSTOP)
        try:
            hold(90)
            assert "Kafka" in why_not_ready(stack)
            assert stack.pid("web") is not None
        finally:
            stack.send("kafka", signal.SIGCONT)
        scenario.recover()
    assert load.statuses[0] == 0, "a request had no answer"
    assert load.statuses[500] + load.statuses[503] > 0
    assert load.slowest_seconds < _ANSWERED_WITHIN_SECONDS
    scenario.check()


def test_the_broker_is_restarted_in_order_three_times(scenario: Scenario) -> None:
    """TERM: its clients find it again at the same address."""
    with scenario.load() as load:
        for _ in range(3):
            scenario.stack.kill("kafka", signal.SIGTERM)
            scenario.recover()
            load.more(200)
    assert load.slowest_seconds < _ANSWERED_WITHIN_SECONDS
    scenario.check()


def test_kafka_takes_no_records_of_one_topic_after_the_other(scenario: Scenario) -> None:
    """Who writes to it waits, and acks nothing; what was refused is written afterwards."""
    stack = scenario.stack
    with scenario.load() as load:
        for topic in ("events-raw", "events-session", "sessions", "alerts"):
            with refuse_records(stack, topic):
                hold(12)
                if topic == "events-raw":
                    assert load.statuses[500] + load.statuses[503] > 0
            scenario.recover()
            eventually(
                lambda: not why_not_ready(stack), within_seconds=60, what="headrace is ready again"
            )
    assert load.slowest_seconds < _ANSWERED_WITHIN_SECONDS
    scenario.check()
