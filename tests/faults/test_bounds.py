"""Floods of new keys, of one key, and of log lines: no process grows with what others send."""

import urllib.request
from uuid import uuid4

import psutil
import pytest

from tests.e2e.stack import PARTITIONS, Stack
from tests.faults.flood import flood, flooding, pageviews
from tests.faults.ledger import Ledger
from tests.faults.report import ROLES
from tests.faults.scenario import MakeScenario, Scenario, hold
from tests.faults.workers import workers_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

#: A tenth of a million, so that each can be held against the reference row by row.
SESSIONS = 100_000
ROOM = 40_000
SITES = 100_000
EVENTS_A_SECOND = 5_000
EVENTS = 100_000

#: Some 600 bytes, and as much for what is on its way.
_BYTES_A_SESSION = 1_400
#: Buffers and batches in hand; what else a flood may add to any role.
_IN_HAND_BYTES = 96 * 1024 * 1024
#: Between two floods of sites after the first of which no place was free.
_NOTHING_BYTES = 32 * 1024 * 1024
#: Measured: 2 s at most; with a load of 14 on 2 cores, 24 s.
_RECOVERS_WITHIN_SECONDS = 60
#: Libraries alone would write 6,000.
_LINES_A_MINUTE = 60


def memory(stack: Stack) -> dict[str, int]:
    """Return the bytes that the roles have in memory now."""
    pids = {role: stack.pid(role) for role in ROLES}
    return {role: psutil.Process(pid).memory_info().rss for role, pid in pids.items()}


def metrics(stack: Stack) -> dict[str, float]:
    """Return the values of all metrics, by name and labels."""
    with urllib.request.urlopen(f"{stack.url}/metrics", timeout=10) as answer:  # noqa: S310 - ours
        lines = answer.read().decode().splitlines()
    told = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in told}


def series(stack: Stack) -> set[str]:
    """Return names and labels of all metrics."""
    return set(metrics(stack))


def check_growth(stack: Stack, before: dict[str, int], sessions: int = 0) -> None:
    """Hold what the roles have grown by against the limits."""
    grown = {role: now - before[role] for role, now in memory(stack).items()}
    grown["streams"] -= sessions * _BYTES_A_SESSION
    assert max(grown.values()) < _IN_HAND_BYTES, f"grown by {grown} bytes"


def test_a_hundred_thousand_sessions_where_there_is_room_for_forty_thousand(
    make_scenario: MakeScenario,
) -> None:
    """Each has its row though `streams` is killed meanwhile; those idle for longest leave early."""
    room = {"HEADRACE_STREAMS__MAX_STATES": str(ROOM // PARTITIONS)}
    scenario, run, ledger = make_scenario(room), uuid4().hex, Ledger()
    stack, before = scenario.stack, memory(scenario.stack)
    events = pageviews(lambda number: {"site_id": "big", "session_id": f"{run}-{number}"})
    flood(stack, ledger, events, SESSIONS // 2)
    stack.kill("streams")
    flood(stack, ledger, events, SESSIONS // 2)
    with scenario.load(ledger):
        scenario.recover()
    scenario.check()
    check_growth(stack, before, ROOM)
    # Counted since `streams` was killed, when there was no room left.
    assert metrics(stack)["headrace_streams_states_left_early_total"] > SESSIONS // 4


def test_one_session_of_5000_events_a_second_holds_nobody_up(scenario: Scenario) -> None:
    """The sessions of others, some of them in its partition, are there within seconds."""
    stack, run = scenario.stack, uuid4().hex
    before = memory(stack)
    with scenario.load() as load:
        events = pageviews(lambda _: {"site_id": "big", "session_id": run})
        with flooding(stack, load.ledger, events, EVENTS_A_SECOND):
            while len(load.ledger.bodies) < EVENTS:
                scenario.recover(_RECOVERS_WITHIN_SECONDS)
    scenario.check()
    check_growth(stack, before)


def test_a_hundred_thousand_sites_that_nobody_knows(scenario: Scenario) -> None:
    """None becomes a label of a metric, and `live` counts as many as it has room for."""
    stack, ledger = scenario.stack, Ledger()
    events = pageviews(lambda number: {"site_id": f"site-{number}", "session_id": "s"})
    flood(stack, ledger, events, 1_000)
    series(stack)  # it counts itself
    known = series(stack)
    flood(stack, ledger, events, SITES // 2)
    full = memory(stack)["live"]
    flood(stack, ledger, events, SITES // 2)
    assert series(stack) == known
    with scenario.load(ledger):
        scenario.recover()
    assert memory(stack)["live"] - full < _NOTHING_BYTES
    scenario.check()


def test_an_outage_is_told_in_few_lines(scenario: Scenario) -> None:
    """Also by libraries, which would tell each of a hundred attempts a second."""
    stack = scenario.stack
    with scenario.load(), workers_of(stack) as workers:
        roles = [workers.start(role) for role in ("streams", "sinks", "live")]
        for role in roles:
            role.wait_ready()
        assert stack.stop() == 0
        before = [len(role.lines) for role in roles]
        hold(60)
        written = [role.lines[start:] for role, start in zip(roles, before, strict=True)]
        assert all(any("Unable connect" in line for line in lines) for lines in written)
        assert max(map(len, written)) < _LINES_A_MINUTE, written
        stack.start()
        scenario.recover()
    scenario.check()
