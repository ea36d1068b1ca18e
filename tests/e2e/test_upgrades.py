"""Data directories of earlier versions can be started, continued, audited and rebuilt.

tests/data/README.md describes how they were created. Each runs with a fake clock of ten minutes
after its last event, so that its visits are still open and nothing has expired.
"""

import json
import os
import sqlite3
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from tests.e2e.stack import Stack
from tests.fixtures.clock import Clock
from tests.fixtures.waiting import eventually

_ARCHIVES = Path(__file__).parents[1] / "data"
_LATER_SECONDS = 600
#: The archives, with the number of their subscriptions.
_SUBSCRIPTIONS = {"first-up": 0, "before-migration-0003": 3, "schema-0013": 1}
#: The contents of every archive: see its README.
_EVENTS, _PASSIVE, _REPEATED = 160, 6, 6


class Old(NamedTuple):
    """A data directory of an earlier version, with its clock."""

    stack: Stack
    clock: Clock
    archive: str

    @property
    def has_earlier_rules(self) -> bool:
        """Whether its visits were computed by the rules of an earlier version."""
        return self.archive in ("first-up", "before-migration-0003")

    def headrace(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command with the data directory."""
        return subprocess.run(
            [sys.executable, "-m", "headrace", *command, "--data-dir", str(self.stack.data_dir)],
            env={**os.environ, **self.stack.settings},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def get(self, path: str, token: str) -> Any:
        """GET a path; return the JSON of the response."""
        request = urllib.request.Request(self.stack.url + path)  # noqa: S310 - ours
        request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=15) as response:  # noqa: S310
            return json.load(response)


@pytest.fixture(params=_SUBSCRIPTIONS)
def old(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Old]:
    """Yield each extracted archive; it is not started."""
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    with tarfile.open(_ARCHIVES / f"{request.param}.tar.xz") as archive:
        archive.extractall(data_dir, filter="data")
    connection = sqlite3.connect(data_dir / "headrace.db")
    [last] = connection.execute("SELECT max(received_at) FROM events").fetchone()
    connection.close()
    now = datetime.fromisoformat(last).timestamp() + _LATER_SECONDS
    clock = Clock(tmp_path / "clock", int(now - time.time()))
    stack = Stack(data_dir, clock.settings)
    yield Old(stack, clock, request.param)
    stack.end()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_data_directory_of_an_earlier_version_continues(old: Old) -> None:
    """Its visits continue; after `rebuild sessions` the audit is clean."""
    stack = old.stack
    stack.start()
    sent = _continue(stack, "a")
    _wait_stored(stack, sent)
    _check_continued(stack)
    audited = old.headrace("audit", "--settle", "2")
    assert audited.returncode == int(old.has_earlier_rules), audited.stdout
    hint = "were computed by an earlier version: run `headrace rebuild sessions`"
    assert (hint in audited.stdout) == old.has_earlier_rules
    assert _lines(audited, "page_durations:", "alerts:") == []
    _check_commands(old)
    assert stack.stop() == 0

    rebuilt = old.headrace("rebuild", "sessions")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert old.headrace("audit", "--settle", "0").returncode == 0

    stack.start()
    sent += _continue(stack, "b")
    _wait_stored(stack, sent)
    audited = old.headrace("audit")
    assert audited.returncode == 0, audited.stdout
    old.clock.advance(45 * 60)
    eventually(
        lambda: not stack.rows("SELECT 1 FROM sessions WHERE state = 'open' LIMIT 1"),
        within_seconds=90,
        what="all visits are closed, the old ones as well",
    )
    audited = old.headrace("audit")
    assert audited.returncode == 0, audited.stdout
    assert stack.stop() == 0


def _continue(stack: Stack, name: str) -> int:
    """Send events of existing visits; return the number of new events."""
    times = {"timestamp": None, "path": f"/new/{name}"}
    sessions = [f"s-{number}" for number in range(12)] + ["passive-0", "e-3"]
    new: list[dict[str, Any]] = [
        {**times, "type": kind, "site_id": "shop", "session_id": session, "duration": 3_000}
        for session in sessions
        for kind in ("pageview", "pageleave", "error")
    ]
    for event in new:
        if event["type"] == "error":
            del event["duration"]
            event |= {"error_name": "TypeError", "error_message": "x is undefined at 7"}
    new.append({"type": "payment", "site_id": "shop", "session_id": "s-1", "amount": "1.005"})
    again = [
        {
            "type": "pageview",
            "site_id": "shop",
            "session_id": f"again-{number}",
            "event_id": str(UUID(int=number + 77, version=4)),
            "path": "/again",
        }
        for number in range(_REPEATED)
    ]
    status, content = stack.post([*new, *again], "/api/events")
    assert status == 202, content
    return len(new)


def _wait_stored(stack: Stack, sent: int) -> None:
    """Wait until all events are stored, and in visits except those of passive runs."""
    stored = _EVENTS + sent

    def is_done() -> bool:
        [events] = stack.rows("SELECT count(*) AS n FROM events")
        [visits] = stack.rows("SELECT sum(events) AS n FROM sessions WHERE state <> 'withdrawn'")
        assert events["n"] <= stored
        # Until the rebuild, the rows of passive runs remain, including that of `passive-0`, which
        # has become a visit with another id.
        in_visits = (stored - 2 * (_PASSIVE - 1), stored + 2)
        return bool(events["n"] == stored and in_visits[0] <= visits["n"] <= in_visits[1])

    eventually(is_done, within_seconds=60, what=f"{stored} events are stored")


def _check_continued(stack: Stack) -> None:
    """Check that an old visit includes the new events, and that amounts are exact."""
    [visit] = stack.rows("SELECT * FROM sessions WHERE session_id = 's-5'")
    assert (visit["entry_path"], visit["exit_path"]) == ("/p/1", "/new/a")
    assert visit["pageviews"] == 3
    amounts = stack.rows("SELECT amount, currency FROM events WHERE type = 'payment'")
    assert sorted((row["amount"], row["currency"]) for row in amounts) == sorted(
        [
            ("49.900000", "EUR"),
            ("1000.000000", "JPY"),
            ("1.500000", "KWD"),
            ("1234.500000", None),
            ("0.100000", "USD"),
            ("12345678901.123456", "EUR"),
            ("3.000000", "EUR"),
            ("9.990000", "GBP"),
            ("1.005000", None),
        ],
        key=str,
    )


def _check_commands(old: Old) -> None:
    """Check that lists, status, dead letters and subscriptions can be read."""
    created = old.headrace("tokens", "create", "--all", "--manage")
    token = created.stdout.split()[-1]
    for path in ("sessions", "pages", "alerts"):
        assert old.get(f"/api/sites/shop/{path}?limit=1000", token)["items"], path
    assert old.get("/api/sites/shop/live", token)["site_id"] == "shop"
    subscriptions = old.get("/api/subscriptions", token)["items"]
    assert len(subscriptions) == _SUBSCRIPTIONS[old.archive]
    eventually(lambda: _lag(old) == 0, within_seconds=60, what="no flow lags behind")
    letters = old.headrace("dlq", "list")
    assert letters.returncode == 0
    assert "undecodable" in letters.stdout


def _lag(old: Old) -> int:
    """Return the total lag in records."""
    status = json.loads(old.headrace("status", "--json").stdout)
    return sum(flow["lag"] for flow in status["flows"])


def _lines(ended: subprocess.CompletedProcess[str], *prefixes: str) -> list[str]:
    return [line for line in ended.stdout.splitlines() if line.startswith(prefixes)]
