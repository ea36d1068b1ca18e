"""`streams` is away until what it had routed, but not processed, has expired."""

import random
from collections.abc import Sequence
from functools import partial

import pytest

from infra.broker.local_kafka import LocalKafka
from infra.broker.ports import free_port
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
from tests.faults.brokers import accept, refuse
from tests.faults.kafka_log import read_log
from tests.faults.load import Load
from tests.faults.quiescence import quiesce
from tests.faults.retention import expire, unprocessed
from tests.faults.scenario import Scenario
from tests.faults.workers import answers, workers_of
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

ROUTED = (EVENTS_SESSION, EVENTS_PAGELEAVE, EVENTS_ALERT)
RESULTS = (SESSIONS, PAGE_DURATIONS, ALERTS)


@pytest.mark.parametrize("kills", [0, 3])
def test_what_was_routed_expired_before_it_was_processed(scenario: Scenario, kills: int) -> None:
    """Half of it was applied; nothing of the rest was. Killed while it routes again, or not."""
    stack = scenario.stack
    choose = random.Random(scenario.seed)  # noqa: S311
    with scenario.load() as load:
        _let_expire(stack, load, RESULTS[:2], ROUTED[:2])
        for _ in range(kills):
            load.more(choose.randrange(20, 200))
            stack.kill("streams")
        scenario.recover()
    scenario.check()


def test_every_payment_is_an_alert_after_events_alert_expired(scenario: Scenario) -> None:
    """Of which error is new the order decides, and that is lost: payments have none."""
    stack = scenario.stack
    with scenario.load() as load:
        _let_expire(stack, load, RESULTS, ROUTED)
        scenario.recover()
    quiesce(stack)
    log = read_log(stack.kafka)
    paid = {event.event_id for event, _ in log.events if event.type == "payment"}
    rows = stack.rows("SELECT event_id FROM alerts WHERE rule = 'payment'")
    assert sorted(row["event_id"] for row in rows) == sorted(paid)


def test_what_expires_after_an_orderly_stop_was_processed(scenario: Scenario) -> None:
    """It is stopped while events come from another API server; then what it routed expires."""
    stack, port = scenario.stack, free_port()
    url = f"http://127.0.0.1:{port}"
    with scenario.load() as load, workers_of(stack) as workers:
        server = workers.start("api", {"HEADRACE_API__PORT": str(port)})
        eventually(lambda: answers(url), within_seconds=60, what="the other server answers")
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
    stack: Stack, load: Load, refused: Sequence[Topic], routed: Sequence[Topic]
) -> None:
    """Have `streams` route events, but not write what they lead to, and delete what it routed."""
    refuse(stack, *(topic.name for topic in refused))
    load.more(600)
    for topic in routed:
        eventually(
            partial(unprocessed, stack.kafka, topic),
            within_seconds=60,
            what=f"records of {topic.name} wait",
        )
    assert stack.stop() == 0
    with LocalKafka(stack.data_dir) as broker:
        accept(broker.bootstrap, *(topic.name for topic in refused))
        assert all(unprocessed(broker.bootstrap, topic) > 0 for topic in routed)
        expire(broker.bootstrap, *routed)
    stack.start()
    said = _log_of_streams(stack)
    assert "expired before they were processed; events are routed again" in said


def _log_of_streams(stack: Stack) -> str:
    return (stack.data_dir / "logs" / "streams.log").read_text()
