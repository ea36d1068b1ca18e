"""The broker is down, frozen, or rejects records: all roles wait and continue."""

import signal

import pytest

from tests.faults.brokers import reject_records
from tests.faults.scenario import Scenario, sleep, why_not_ready
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

#: The API's limit is 10 s; the client that measures shares the machine with the stack.
_ANSWERED_WITHIN_SECONDS = 13


def test_the_broker_is_frozen_for_90_seconds(scenario: Scenario) -> None:
    """Requests get a 5xx in time; afterwards everything continues without operator action."""
    stack = scenario.stack
    with scenario.load() as load:
        stack.send("kafka", signal.SIGSTOP)
        try:
            sleep(90)
            assert "Kafka" in why_not_ready(stack)
            assert stack.pid("web") is not None
        finally:
            stack.send("kafka", signal.SIGCONT)
        scenario.recover()
    assert load.statuses[0] == 0, "a request had no response"
    assert load.statuses[500] + load.statuses[503] > 0
    assert load.slowest_seconds < _ANSWERED_WITHIN_SECONDS
    scenario.check()


def test_the_broker_is_restarted_gracefully_three_times(scenario: Scenario) -> None:
    """With SIGTERM; clients reconnect to the same address."""
    with scenario.load() as load:
        for _ in range(3):
            scenario.stack.kill("kafka", signal.SIGTERM)
            scenario.recover()
            load.more(200)
    assert load.slowest_seconds < _ANSWERED_WITHIN_SECONDS
    scenario.check()


def test_kafka_rejects_records_of_one_topic_after_the_other(scenario: Scenario) -> None:
    """Writers wait without committing; rejected records are written afterwards."""
    stack = scenario.stack
    with scenario.load() as load:
        for topic in ("events-raw", "events-session", "sessions", "alerts"):
            with reject_records(stack, topic):
                sleep(12)
                if topic == "events-raw":
                    assert load.statuses[500] + load.statuses[503] > 0
            scenario.recover()
            eventually(
                lambda: not why_not_ready(stack), within_seconds=60, what="headrace is ready again"
            )
    assert load.slowest_seconds < _ANSWERED_WITHIN_SECONDS
    scenario.check()
