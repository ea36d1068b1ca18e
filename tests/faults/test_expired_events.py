"""`streams` is down until events expire in `events-raw`."""

import json
import os
import subprocess
import sys

import pytest
from aiokafka import TopicPartition

from headrace.local.broker.local_kafka import LocalKafka
from headrace.local.broker.ports import free_port
from schemas.topics import EVENTS_RAW
from tests.e2e.stack import Stack
from tests.faults.checks import Logs, check_logs
from tests.faults.kafka_log import KafkaLog, read_log
from tests.faults.ledger import Ledger
from tests.faults.load import Load
from tests.faults.quiescence import close_all_visits, quiesce
from tests.faults.retention import Offsets, end_offsets, expire, processed, unprocessed
from tests.faults.scenario import SHORT, Scenario
from tests.faults.workers import is_ready, workers_of
from tests.fixtures.waiting import eventually
from tests.reference import Log

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]


def test_events_expired_before_they_were_routed(scenario: Scenario) -> None:
    """They are only in `events`, and reported; a rebuild repairs all results but alerts."""
    stack = scenario.stack
    with scenario.load() as load:
        assert stack.stop() == 0
        with LocalKafka(stack.data_dir) as broker:
            _store_without_streams(stack, load.ledger, scenario.seed + 1)
            before, done = read_log(broker.bootstrap), processed(broker.bootstrap, EVENTS_RAW)
            lost = unprocessed(broker.bootstrap, EVENTS_RAW)
            expire(broker.bootstrap, EVENTS_RAW)
        stack.start()
        scenario.recover()
    quiesce(stack)
    close_all_visits(stack)
    log = _joined(before, read_log(stack.kafka))
    routed = _without_lost(log, done, _ends_of(before))
    assert len(routed.events) < len(log.events)
    assert f"{lost} records expired before they were routed" in _log_of_streams(stack)
    assert any(f"{lost:,} records of events-raw expired" in problem for problem in _problems(stack))
    check_logs(stack, SHORT, Logs(log, routed, routed), load.ledger)

    assert stack.stop() == 0
    for target in ("sessions", "durations"):
        rebuilt = _headrace(stack, "rebuild", target)
        assert rebuilt.returncode == 0, rebuilt.stderr
    stack.start()
    quiesce(stack)
    close_all_visits(stack)
    assert not any("expired" in problem for problem in _problems(stack))
    check_logs(stack, SHORT, Logs(log, log, routed), load.ledger)


def _store_without_streams(stack: Stack, ledger: Ledger, seed: int) -> None:
    """Send events while only an API server and the sinks run; wait until all are stored."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with workers_of(stack) as workers:
        roles = [
            workers.start("api", {"HEADRACE_API__PORT": str(port)}),
            workers.start("sinks"),
        ]
        eventually(lambda: is_ready(url), within_seconds=60, what="the API server is ready")
        with Load(stack, seed, url=url, ledger=ledger) as load:
            load.more(600)
        ends = end_offsets(stack.kafka, EVENTS_RAW)
        eventually(
            lambda: _stored(stack).items() >= ends.items(),
            within_seconds=90,
            what="all events are stored",
        )
        assert [role.end() for role in roles] == [0, 0]


def _stored(stack: Stack) -> dict[TopicPartition, int]:
    rows = stack.rows("SELECT topic, partition, next_offset FROM consumer_offsets")
    return {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}


def _joined(before: KafkaLog, after: KafkaLog) -> KafkaLog:
    """Return the log of all events: those of `before` have expired, dead letters have not."""
    return KafkaLog(
        [*before.events, *after.events],
        [*before.alerting, *after.alerting],
        after.dead_letters,
        after.routed_again,
        [*before.records, *after.records],
    )


def _ends_of(log: KafkaLog) -> dict[int, int]:
    """Return the offset after the last event of each partition."""
    return {src.partition: src.offset + 1 for _, src in log.events}


def _without_lost(log: KafkaLog, done: Offsets, ends: dict[int, int]) -> KafkaLog:
    """Return the log without the events that expired before `streams` processed them."""
    first_lost = {tp.partition: offset for tp, offset in done.items()}

    def rest(events: Log) -> Log:
        return [
            (event, src)
            for event, src in events
            if not first_lost[src.partition] <= src.offset < ends.get(src.partition, 0)
        ]

    return log._replace(events=rest(log.events))


def _problems(stack: Stack) -> list[str]:
    status = json.loads(_headrace(stack, "status", "--json").stdout)
    return [problem["what"] for problem in status["problems"]]


def _log_of_streams(stack: Stack) -> str:
    return (stack.data_dir / "logs" / "streams.log").read_text()


def _headrace(stack: Stack, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headrace", *command, "--data-dir", str(stack.data_dir)],
        env={**os.environ, **stack.settings},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
