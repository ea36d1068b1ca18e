"""Floods of new keys, of one key, and of log lines: no process grows with what others send."""

import urllib.request
from uuid import uuid4

import psutil
import pytest

from tests.e2e.stack import Stack
from tests.faults.flood import flood, flooding, pageviews
from tests.faults.ledger import Ledger
from tests.faults.report import ROLES
from tests.faults.scenario import Scenario, hold
from tests.faults.workers import workers_of

pytestmark = [pytest.mark.faults_long, pytest.mark.timeout(600)]

#: A tenth of a million, so that each can be held against the reference row by row.
SESSIONS = 100_000
SITES = 100_000
EVENTS_A_SECOND = 3_000
EVENTS = 60_000

#: `streams` keeps a session until no late event can reach it: some 700 bytes, twice that at most.
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


def series(stack: Stack) -> set[str]:
    """Return names and labels of all metrics."""
    with urllib.request.urlopen(f"{stack.url}/metrics", timeout=10) as answer:  # noqa: S310 - ours
        lines = answer.read().decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}


def check_growth(stack: Stack, before: dict[str, int], sessions: int = 0) -> None:
    """Hold what the roles have grown by against the limits."""
    grown = {role: now - before[role] for role, now in memory(stack).items()}
    grown["streams"] -= sessions * _BYTES_A_SESSION
    assert max(grown.values()) < _IN_HAND_BYTES, f"grown by {grown} bytes"


def test_a_hundred_thousand_sessions_of_one_site(scenario: Scenario) -> None:
    """Each has its row, and workers keep little of each."""
    stack, run = scenario.stack, uuid4().hex
    before = memory(stack)
    with scenario.load() as load:
        events = pageviews(lambda number: {"site_id": "big", "session_id": f"{run}-{number}"})
        flood(stack, load.ledger, events, SESSIONS)
        scenario.recover()
    scenario.check()
    check_growth(stack, before, SESSIONS)


def test_one_session_of_3000_events_a_second_holds_nobody_up(scenario: Scenario) -> None:
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
