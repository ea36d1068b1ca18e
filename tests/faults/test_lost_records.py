"""`streams` is down until records that it routed, but did not process, have expired."""

import random
from collections.abc import Sequence
from functools import partial

import pytest

from headrace.local.broker.local_kafka import LocalKafka
from headrace.local.broker.ports import free_port
from schemas.topics import (
    ALERTS,
    EVENTS_ALERT,
    EVENTS_PAGELEAVE,
    EVENTS_RAW,
    EVENTS_SESSION,
    PAGE_DURATIONS,
    SESSIONS,
    Topic,
)
from tests.e2e.stack import Stack
from tests.faults.brokers import accept, reject
from tests.faults.kafka_log import read_log
from tests.faults.load import Load
from tests.faults.quiescence import quiesce
from tests.faults.retention import expire, unprocessed
from tests.faults.scenario import Scenario
from tests.faults.workers import is_ready, workers_of
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

ROUTED = (EVENTS_SESSION, EVENTS_PAGELEAVE, EVENTS_ALERT)
RESULTS = (SESSIONS, PAGE_DURATIONS, ALERTS)


@pytest.mark.parametrize("kills", [0, 3])
def test_routed_records_expire_before_they_are_processed(scenario: Scenario, kills: int) -> None:
    """With and without kills while the events are routed again."""
    stack = scenario.stack
    choose = random.Random(scenario.seed)  # noqa: S311
    with scenario.load() as load:
        _let_expire(stack, load, RESULTS[:2], ROUTED[:2])
        for _ in range(kills):
            load.more(choose.randrange(20, 200))
            stack.kill("streams")
        scenario.recover()
    scenario.check()


def test_every_payment_raises_an_alert_after_events_alert_expired(scenario: Scenario) -> None:
    """Only payments are compared: which error is new depends on the order, which is lost."""
    stack = scenario.stack
    with scenario.load() as load:
        _let_expire(stack, load, RESULTS, ROUTED)
        scenario.recover()
    quiesce(stack)
    log = read_log(stack.kafka)
    paid = {event.event_id for event, _ in log.events if event.type == "payment"}
    rows = stack.rows("SELECT event_id FROM alerts WHERE rule = 'payment'")
    assert sorted(row["event_id"] for row in rows) == sorted(paid)


def test_records_that_expire_after_a_graceful_stop_were_processed(scenario: Scenario) -> None:
    """It is stopped under load from another API server; then the routed records expire."""
    stack, port = scenario.stack, free_port()
    url = f"http://127.0.0.1:{port}"
    with scenario.load() as load, workers_of(stack) as workers:
        server = workers.start("api", {"HEADRACE_API__PORT": str(port)})
        eventually(lambda: is_ready(url), within_seconds=60, what="the other server is ready")
        with Load(stack, scenario.seed + 1, url=url, ledger=load.ledger) as other:
            other.more(300)
            assert stack.stop() == 0
        assert server.end() == 0
        with LocalKafka(stack.data_dir) as broker:
            assert unprocessed(broker.bootstrap, EVENTS_RAW) > 0
            assert unprocessed(broker.bootstrap, *ROUTED) == 0
            expire(broker.bootstrap, *ROUTED[:2])
        stack.start()
        scenario.recover()
    assert "routed again" not in _log_of_streams(stack)
    scenario.check()


def _let_expire(
    stack: Stack, load: Load, rejected: Sequence[Topic], routed: Sequence[Topic]
) -> None:
    """Make `streams` route events without writing results, and delete the routed records."""
    reject(stack, *(topic.name for topic in rejected))
    load.more(600)
    for topic in routed:
        eventually(
            partial(unprocessed, stack.kafka, topic),
            within_seconds=60,
            what=f"records of {topic.name} wait",
        )
    assert stack.stop() == 0
    with LocalKafka(stack.data_dir) as broker:
        accept(broker.bootstrap, *(topic.name for topic in rejected))
        assert all(unprocessed(broker.bootstrap, topic) > 0 for topic in routed)
        expire(broker.bootstrap, *routed)
    stack.start()
    log = _log_of_streams(stack)
    assert "expired before they were processed; events are routed again" in log


def _log_of_streams(stack: Stack) -> str:
    return (stack.data_dir / "logs" / "streams.log").read_text()
