"""The audit finds damaged rows, a rebuild repairs them, and later events continue from there."""

import sqlite3
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.e2e import clickstream
from tests.e2e.clickstream import SITE, Event
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

COUNT = 1_200
_AT_ONCE = 500

#: Statements that damage rows, with the audit's message.
DAMAGES = {
    "UPDATE sessions SET events = events + 1 WHERE visit_id = (SELECT min(visit_id) FROM sessions"
    " WHERE state <> 'withdrawn')": "events is ",
    "DELETE FROM sessions WHERE visit_id = (SELECT max(visit_id) FROM sessions)": "is missing",
    "UPDATE page_durations SET total_ms = total_ms + 1, revision = revision + 100 WHERE rowid ="
    " (SELECT min(rowid) FROM page_durations)": "total_ms is ",
    "DELETE FROM alerts WHERE rule = 'payment'": "payment of the event ",
}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_damaged_rows_are_found_and_rebuilt(make_stack: MakeStack) -> None:
    """The audit is clean before the damage, after the rebuild, and after more events."""
    stack = make_stack({"HEADRACE_IMPORT__SITES": SITE})
    stream = clickstream.events(COUNT, seed=11)
    before, after = stream[: COUNT // 2], stream[COUNT // 2 :]
    _send(stack, [*before, _payment("p-1")])
    _wait_for(stack, before, payments=1)
    assert _headrace(stack, "audit").returncode == 0
    alerts = stack.rows("SELECT * FROM alerts WHERE rule = 'payment'")

    _damage(stack)
    audited = _headrace(stack, "audit", "--settle", "2")
    assert audited.returncode == 1
    for sentence in DAMAGES.values():
        assert sentence in audited.stdout
    refused = _headrace(stack, "rebuild", "sessions")
    assert (refused.returncode, "Stream workers are running" in refused.stderr) == (1, True)

    assert stack.stop() == 0
    for target in ("sessions", "durations"):
        rebuilt = _headrace(stack, "rebuild", target)
        assert rebuilt.returncode == 0, rebuilt.stderr
    assert stack.processes() == []
    _restore(stack, alerts)
    assert _headrace(stack, "audit", "--settle", "0").returncode == 0

    stack.start()
    _send(stack, [*before[-200:], *after, _payment("p-2")])
    _wait_for(stack, stream, payments=2)
    outcome = _headrace(stack, "audit")
    assert outcome.returncode == 0, outcome.stdout


def _headrace(stack: Stack, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headrace", *command, "--data-dir", str(stack.data_dir)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _send(stack: Stack, events: Sequence[Event]) -> None:
    for start in range(0, len(events), _AT_ONCE):
        status, _ = stack.post(events[start : start + _AT_ONCE], "/api/events")
        assert status == 202


def _payment(session: str) -> Event:
    return {"type": "payment", "site_id": "shop", "session_id": session, "amount": 12.5}


def _wait_for(stack: Stack, stream: Sequence[Event], payments: int) -> None:
    """Wait until all events are in `events` and in visits of `sessions`."""
    wanted = [len(stream) + payments, clickstream.in_visits(stream) + payments]

    def counted() -> bool:
        [stored] = stack.rows("SELECT count(*) AS n FROM events")
        [visits] = stack.rows("SELECT sum(events) AS n FROM sessions WHERE state <> 'withdrawn'")
        return [stored["n"], visits["n"]] == wanted

    eventually(counted, within_seconds=60, what=f"{wanted} events are stored, and in visits")


def _damage(stack: Stack) -> None:
    with sqlite3.connect(stack.data_dir / "headrace.db", timeout=30) as connection:
        for statement in DAMAGES:
            connection.execute(statement)
    connection.close()


def _restore(stack: Stack, alerts: Sequence[dict[str, object]]) -> None:
    with sqlite3.connect(stack.data_dir / "headrace.db", timeout=30) as connection:
        for alert in alerts:
            placeholders = ", ".join("?" for _ in alert)
            connection.execute(
                f"INSERT INTO alerts ({', '.join(alert)}) VALUES ({placeholders})",  # noqa: S608
                list(alert.values()),
            )
    connection.close()
