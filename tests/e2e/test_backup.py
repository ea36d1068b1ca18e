"""`headrace backup` of a running stack, and `headrace restore`, also interrupted."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(420)

_SITE = "shop"
#: Moments at which a restore is killed, as fractions of a whole one.
_KILLS = (0.3, 0.5, 0.7, 0.85)


def _start(stack: Stack, *command: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "headrace", *command, "--data-dir", str(stack.data_dir)],
        env={**os.environ, **stack.settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def _run(stack: Stack, *command: str) -> str:
    """Run a command to its end; return its output."""
    process = _start(stack, *command)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    return output


def _events(visitor: str, count: int = 5) -> list[dict[str, Any]]:
    """Return events of a visitor's session, one of which is a payment and one an error."""
    common = {"site_id": _SITE, "session_id": f"s-{visitor}", "visitor_id": visitor, "path": "/a"}
    views = [{**common, "type": kind} for _ in range(count) for kind in ("pageview", "pageleave")]
    error = {**common, "type": "error", "error_name": f"E{visitor}", "error_message": "x"}
    return [*views, {**common, "type": "payment", "amount": 7}, error]


def _send(stack: Stack, *visitors: str) -> None:
    """Send the events of visitors, and wait until their results are stored."""
    for visitor in visitors:
        status, content = stack.post(_events(visitor), "/api/events")
        assert status == 202, content
    _wait_for_results(stack, *visitors)


def _wait_for_results(stack: Stack, *visitors: str) -> None:
    """Wait until the events, the session and both alerts of each visitor are stored."""
    results = {"events": 1, "sessions": 1, "alerts": 2}
    eventually(
        lambda: all(
            _count(stack, table, visitor) >= count
            for visitor in visitors
            for table, count in results.items()
        ),
        within_seconds=60,
        what=f"results of {visitors}",
    )


def _count(stack: Stack, table: str, visitor: str) -> int:
    """Return the number of rows that mention a visitor's session."""
    where = {"alerts": "details LIKE ? OR title LIKE ?"}.get(table, "session_id = ? AND '' <> ?")
    values = (f"%s-{visitor}%",) * 2 if table == "alerts" else (f"s-{visitor}",) * 2
    [row] = stack.rows(f"SELECT count(*) AS n FROM {table} WHERE {where}", values)  # noqa: S608
    return int(row["n"])


def _check(stack: Stack, present: set[str], absent: set[str]) -> None:
    """Check whose rows there are, and that the audit is clean."""
    for table in ("events", "sessions", "alerts"):
        found = {name for name in present | absent if _count(stack, table, name)}
        assert found == present, table
    stack.headrace("audit")


def _token_id(stack: Stack) -> str:
    [token] = stack.rows("SELECT token_id FROM tokens WHERE name = 'partner'")
    return str(token["token_id"])


def _subscribe(stack: Stack) -> str:
    """Register the site with a key, and subscribe to its payments; return the key."""
    stack.headrace("sites", "add", _SITE, "--require-key", "none")
    key = stack.headrace("keys", "create", "--site", _SITE).split()[-1]
    token = stack.headrace("tokens", "create", "--all", "--manage").split()[-1]
    body = {"site_id": _SITE, "rule": "payment", "params": {"min_amount": 10_000}}
    channel = {"type": "webhook", "url": "https://example.com/hook"}
    request = urllib.request.Request(  # noqa: S310 - ours
        f"{stack.url}/api/subscriptions",
        json.dumps({**body, "channel": channel}).encode(),
        {"Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=15) as response:  # noqa: S310
        assert response.status == 201
    return key


def test_who_was_erased_after_the_backup_stays_erased(make_stack: MakeStack) -> None:
    """In the same data directory; events that came after the backup are read from Kafka again."""
    stack = make_stack({})
    file = stack.data_dir.with_name("a.tar.gz")
    _send(stack, "ann", "bob")
    stack.headrace("tokens", "create", "--all", "--name", "partner")
    _run(stack, "backup", str(file))
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    _send(stack, "cid", "dan")
    for visitor in ("ann", "cid"):
        stack.headrace("erase", "--site", _SITE, "--visitor", visitor, "--block", "--yes")
    _send(stack, "eve")
    stack.headrace("tokens", "revoke", _token_id(stack))
    assert "already runs" in _start(stack, "restore", str(file), "--yes").communicate()[0]
    _check(stack, {"bob", "dan", "eve"}, {"ann", "cid"})
    [last] = stack.rows("SELECT max(seq) AS n FROM alerts")
    assert stack.stop() == 0

    output = _run(stack, "restore", str(file), "--yes")
    assert "Erased again: 1 session" in output
    [token] = stack.rows("SELECT revoked_at FROM tokens WHERE name = 'partner'")
    assert token["revoked_at"] is not None
    stack.start()
    _wait_for_results(stack, "bob", "dan", "eve")
    _check(stack, {"bob", "dan", "eve"}, {"ann", "cid"})
    status, content = stack.post(_events("ann")[0])
    assert status == 403, content
    _send(stack, "bob", "fay")
    [new] = stack.rows("SELECT min(seq) AS n FROM alerts WHERE title LIKE '%Efay%'")
    assert new["n"] > last["n"], "a client would not get it, which resumes after the last alert"
    _check(stack, {"bob", "dan", "eve", "fay"}, {"ann", "cid"})


@pytest.mark.slow
def test_a_backup_moves_to_another_machine(make_stack: MakeStack, tmp_path: Path) -> None:
    """Made while everything runs; a backup and a restore may be killed and repeated."""
    stack = make_stack({"HEADRACE_API__SITES": "registered"})
    file = tmp_path / "a.tar.gz"
    key = _subscribe(stack)
    _send(stack, "ann", "bob")
    stack.headrace("erase", "--site", _SITE, "--visitor", "ann", "--block", "--yes")
    _run(stack, "backup", str(file))
    complete = file.read_bytes()
    killed = _start(stack, "backup", str(file))
    eventually(
        lambda: (tmp_path / ".a.tar.gz.unfinished").exists() or killed.poll() is not None,
        within_seconds=60,
        what="the backup is in progress",
    )
    killed.kill()
    killed.wait()
    assert file.read_bytes() == complete
    output = _run(stack, "backup", str(file))
    assert "1 secret of subscriptions can only be used with the key" in output
    assert list(tmp_path.glob(".a*")) == []
    rows = _rows(stack)
    assert stack.stop() == 0

    other = Stack(tmp_path / "other", stack.settings)
    _restore_with_kills(other, file)
    shutil.copy(stack.data_dir / "secrets.key", other.data_dir)
    try:
        other.start()
        _check(other, {"bob"}, {"ann"})
        assert _rows(other) == rows
        assert other.post(_events("ann")[0])[0] == 403
        _send(other, "bob", "cid")
        assert key
        _check(other, {"bob", "cid"}, {"ann"})
        assert other.stop() == 0
    finally:
        other.end()


def _rows(stack: Stack) -> dict[str, int]:
    """Return the number of rows of each table."""
    tables = ("events", "sessions", "alerts", "sites", "site_keys", "subscriptions")
    return {
        table: stack.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"]  # noqa: S608
        for table in tables
    }


def _restore_with_kills(stack: Stack, file: Path) -> None:
    """Restore a backup; before that, kill a restore at several moments."""
    began = time.monotonic()
    output = _run(stack, "restore", str(file))
    seconds = time.monotonic() - began
    assert "cannot be decrypted: copy the key file" in output
    for part in _KILLS:
        process = _start(stack, "restore", str(file), "--yes", start_new_session=True)
        try:
            process.wait(seconds * part)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    _run(stack, "restore", str(file), "--yes")
