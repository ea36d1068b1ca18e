"""Visits with the default settings (gap 30 min, grace 5 min, retention 25 h) and a fake clock."""

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from schemas.topics import SESSIONS
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.faults.checks import Rules, check_exact
from tests.faults.kafka_log import read
from tests.faults.ledger import Ledger, Outcome
from tests.faults.load import outcomes_of
from tests.faults.quiescence import close_all_visits, quiesce
from tests.faults.scenario import sleep
from tests.faults.traffic import Sent, Traffic
from tests.fixtures.clock import Clock
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

_SITE = "defaults"
_MINUTE, _HOUR = 60, 3_600
#: Until every process has read the clock and every partition has a punctuation record.
_SETTLED_SECONDS = 3.0


class Run:
    """A stack with its clock and ledger; minutes are counted from the start."""

    def __init__(self, stack: Stack, clock: Clock, seed: int) -> None:
        self.stack, self.clock = stack, clock
        self.ledger = Ledger(clock.now)
        self._traffic = Traffic(seed, clock.now)
        self._sent = 0
        self._started_at = clock.now()

    def advance(self, seconds: int) -> None:
        """Advance the clock of the broker and all roles."""
        quiesce(self.stack)
        self.clock.advance(seconds)
        sleep(_SETTLED_SECONDS)

    def view(self, session: str, at_minute: float | None = None) -> None:
        """Send a page view, by default with the current time."""
        self._sent += 1
        body: dict[str, Any] = {
            "type": "pageview",
            "site_id": _SITE,
            "session_id": session,
            "path": f"/{session}",
            "event_id": str(UUID(int=self._sent, version=4)),
        }
        if at_minute is not None:
            moment = datetime.fromtimestamp(self._started_at + at_minute * _MINUTE, UTC)
            body["timestamp"] = moment.isoformat()
        self._send([Sent(body["event_id"], body, is_valid=True)])

    def others(self, requests: int) -> None:
        """Send requests of other visitors."""
        for _ in range(requests):
            self._send(self._traffic.request())

    def visits(self, session: str) -> list[tuple[str, int]]:
        """Return the state and number of events of a session's visits, by start time."""
        quiesce(self.stack)
        query = "SELECT state, events FROM sessions WHERE session_id = ? ORDER BY started_at, state"
        return [(row["state"], row["events"]) for row in self.stack.rows(query, [session])]

    def _send(self, request: list[Sent]) -> None:
        sent_at = self.clock.now()
        status, content = self.stack.post([sent.body for sent in request], "/api/events")
        for sent, outcome in zip(request, outcomes_of(status, content, len(request)), strict=True):
            assert outcome is not Outcome.UNKNOWN
            self.ledger.record(sent, outcome, sent_at)


def test_visits_close_merge_and_expire_by_the_default_settings(
    make_stack: MakeStack, tmp_path: Path, seed: int
) -> None:
    """Open for 35 minutes of stream time, merged by late events, removed after 25 hours."""
    clock = Clock(tmp_path / "clock")
    stack = make_stack({**clock.settings, "HEADRACE_STREAMS__TICK_SECONDS": "1"})
    run = Run(stack, clock, seed)
    run.others(100)
    run.view("idle")
    run.view("joined")
    run.advance(20 * _MINUTE)
    run.view("idle")
    run.advance(34 * _MINUTE)  # minute 54
    assert run.visits("idle") == [("open", 2)]
    assert run.visits("joined") == [("closed", 1)]
    run.advance(2 * _MINUTE)
    assert run.visits("idle") == [("closed", 2)]

    run.view("idle", at_minute=40)  # a late event extends a closed visit
    run.view("joined")  # minute 56: another visit, until a late event merges them
    assert run.visits("joined") == [("closed", 1), ("open", 1)]
    run.view("joined", at_minute=28)
    assert run.visits("joined") == [("open", 3), ("withdrawn", 1)]
    assert run.visits("idle") == [("open", 3)]

    run.advance(20 * _HOUR)
    run.others(30)
    run.view("joined", at_minute=-20)  # of a visit that has been idle for 20 hours
    assert run.visits("joined") == [("open", 4), ("withdrawn", 1)]
    assert not _is_expired(stack, "idle")
    run.advance(6 * _HOUR)
    eventually(lambda: _is_expired(stack, "idle"), within_seconds=60, what="a state has expired")
    assert not _is_expired(stack, "joined"), "its last event was received 6 hours ago"
    run.view("idle")
    assert run.visits("idle") == [("closed", 3), ("open", 1)]

    run.advance(36 * _MINUTE)
    close_all_visits(stack)
    check_exact(stack, Rules(all_closed=True), run.ledger)
    assert _audit(stack) == 0


def _is_expired(stack: Stack, session: str) -> bool:
    """Return True if the last record of a session's state is a tombstone."""
    key = f"{_SITE}:{session}".encode()
    records = asyncio.run(read(stack.kafka, [SESSIONS.name]))
    values = [record.value for record in records if record.key == key]
    return values[-1] is None


def _audit(stack: Stack) -> int:
    argv = [sys.executable, "-m", "headrace", "audit", "--data-dir", str(stack.data_dir)]
    return subprocess.run(argv, env={**os.environ, **stack.settings}, check=False).returncode
