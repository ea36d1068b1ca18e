"""Poison records, written directly to the topics."""

from collections import Counter

import pytest

from tests.e2e import poison
from tests.faults.kafka_log import read_log
from tests.faults.scenario import Scenario, sleep, why_not_ready
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROLES = ("web", "streams", "live", "sinks")


def test_poison_records_of_every_kind_between_valid_events(scenario: Scenario) -> None:
    """Each is dead-lettered once per stage that reads it; other records are not affected."""
    bad = poison.every_kind()
    with scenario.load() as load:
        for start in range(0, len(bad), 10):
            poison.write(scenario.stack.kafka, bad[start : start + 10])
            load.more(50)
        scenario.recover()
        assert not why_not_ready(scenario.stack)
    log = scenario.check()

    assert {record.name for record in bad} == {letter.mark for letter in log.dead_letters}
    counts = Counter(letter[:4] for letter in log.dead_letters)
    assert max(counts.values()) == 1, counts.most_common(3)


def test_workers_restart_after_poison_records_of_every_kind(scenario: Scenario) -> None:
    """Including poison in their own changelog topics."""
    stack = scenario.stack
    with scenario.load() as load:
        poison.write(stack.kafka, poison.every_kind())
        load.more(200)
        for role in ("streams", "sinks", "live"):
            stack.kill(role)
            scenario.recover()
        eventually(
            lambda: not why_not_ready(stack), within_seconds=60, what="headrace is ready again"
        )
    scenario.check()


def test_poison_records_in_a_row_stop_their_partition(scenario: Scenario) -> None:
    """The role and other partitions continue; it is reported, and events are accepted."""
    stack = scenario.stack
    with scenario.load() as load:
        pids = [stack.pid(role) for role in ROLES]
        poison.write(stack.kafka, poison.undecodable(500), partition=0)
        eventually(
            lambda: "in a row could not be processed" in why_not_ready(stack),
            within_seconds=60,
            what="`/readyz` reports a stopped partition",
        )
        sleep(30)
        load.more(300)
        before = _stored(scenario)
        eventually(
            lambda: _stored(scenario) > before, within_seconds=60, what="other partitions continue"
        )
        assert [stack.pid(role) for role in ROLES] == pids, "a role ended"
    letters = read_log(stack.kafka).dead_letters
    stages = Counter(letter.stage for letter in letters)
    assert max(stages.values(), default=0) < 250, "not all are dead-lettered"
    assert {letter.partition for letter in letters} <= {0}


def _stored(scenario: Scenario) -> int:
    [row] = scenario.stack.rows("SELECT count(*) AS n FROM events WHERE kafka_partition <> 0")
    return int(row["n"])
