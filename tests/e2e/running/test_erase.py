"""`headrace erase` on a running stack, interrupted and repeated."""

import subprocess
import sys
from typing import Any

import pytest

from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(300)

_SITE = "erased"
_LEAVES = 40


def _events(visitor: str, count: int) -> list[dict[str, Any]]:
    """Return the events of a visitor in two sessions, the second without the visitor's id."""
    common = {"site_id": _SITE, "path": "/a"}
    first = [
        {**common, "type": kind, "session_id": f"{visitor}-1", "duration": n}
        for n in range(count)
        for kind in ("pageview", "pageleave")
    ]
    first[0]["visitor_id"] = visitor
    second = {**common, "type": "payment", "session_id": f"{visitor}-2", "user_id": f"u-{visitor}"}
    return [*first, second, {**common, "type": "error", "session_id": f"{visitor}-2"}]


def _count(stack: Stack, table: str, condition: str = "true") -> int:
    where = f"site_id = '{_SITE}' AND ({condition})"
    [row] = stack.rows(f"SELECT count(*) AS n FROM {table} WHERE {where}")  # noqa: S608
    return int(row["n"])


def test_a_person_is_erased_while_everything_runs(stack: Stack) -> None:
    """Also by a second run after the first was killed, and after kills of the roles."""
    events = [*_events("ann", _LEAVES), *_events("bob", _LEAVES)]
    status, _ = stack.post(events, "/api/events")
    assert status == 202
    eventually(lambda: _count(stack, "sessions") == 4, within_seconds=30, what="4 visits")
    eventually(lambda: _count(stack, "alerts") >= 3, within_seconds=30, what="alerts")
    options = ("erase", "--site", _SITE, "--visitor", "ann", "--user", "u-ann", "--yes")

    killed = subprocess.Popen(
        [sys.executable, "-m", "headrace", *options, "--data-dir", str(stack.data_dir)],
        stdout=subprocess.DEVNULL,
    )
    eventually(
        lambda: _count(stack, "alerts", "subject LIKE 'ann%'") == 0 or killed.poll() is not None,
        within_seconds=60,
        what="the first run has begun to erase",
    )
    killed.kill()
    killed.wait()
    for role in ("streams", "sinks"):
        stack.kill(role)
    stack.headrace(*options)

    for table in ("events", "sessions"):
        assert _count(stack, table, "session_id LIKE 'ann%'") == 0
        assert _count(stack, table, "session_id LIKE 'bob%'") > 0
    assert _count(stack, "alerts", "details LIKE '%ann-%' OR subject LIKE 'ann%'") == 0
    stack.headrace("audit")
    assert stack.headrace(*options) == "There is nothing to erase.\n"

    status, _ = stack.post(_events("ann", 1), "/api/events")
    eventually(
        lambda: _count(stack, "events", "session_id LIKE 'ann%'") == 4,
        within_seconds=30,
        what="new events are stored",
    )
    stack.headrace("audit")
