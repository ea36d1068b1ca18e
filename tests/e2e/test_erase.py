"""`headrace erase` on a running stack, interrupted and repeated."""

import subprocess
import sys
from typing import Any

import pytest

from schemas.blocked_ids import hash_of
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(300)

_SITE = "my-site"
_LEAVES = 40
#: A block takes effect in every process within this time.
_EFFECTIVE_SECONDS = 5


def _headrace(stack: Stack, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headrace", *command, "--data-dir", str(stack.data_dir)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


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
    [row] = stack.rows(f"SELECT count(*) AS n FROM {table} WHERE {condition}")  # noqa: S608
    return int(row["n"])


def test_a_person_is_erased_while_everything_runs(make_stack: MakeStack) -> None:
    """Also by a second run after the first was killed, and after kills of the roles."""
    stack = make_stack({})
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
    again = _headrace(stack, *options)

    assert again.returncode == 0, again.stderr
    for table in ("events", "sessions"):
        assert _count(stack, table, "session_id LIKE 'ann%'") == 0
        assert _count(stack, table, "session_id LIKE 'bob%'") > 0
    assert _count(stack, "alerts", "details LIKE '%ann-%' OR subject LIKE 'ann%'") == 0
    audit = _headrace(stack, "audit")
    assert audit.returncode == 0, audit.stdout
    assert _headrace(stack, *options).stdout == "There is nothing to erase.\n"

    status, _ = stack.post(_events("ann", 1), "/api/events")
    eventually(
        lambda: _count(stack, "events", "session_id LIKE 'ann%'") == 4,
        within_seconds=30,
        what="new events are stored",
    )
    audit = _headrace(stack, "audit")
    assert audit.returncode == 0, audit.stdout


def test_a_block_is_listed_and_removed(make_stack: MakeStack) -> None:
    """Both take effect while everything runs; a hash of the list removes a block as well."""
    stack = make_stack({})
    event = {"type": "pageview", "site_id": _SITE, "session_id": "s"}

    def until(status: int, **ids: str) -> None:
        eventually(
            lambda: stack.post({**event, **ids})[0] == status,
            within_seconds=_EFFECTIVE_SECONDS,
            what=f"an event of {ids} is answered with {status}",
        )

    ids = ("--visitor", "ann", "--user", "u-ann")
    erased = _headrace(stack, "erase", "--site", _SITE, *ids, "--block", "--yes")
    assert erased.returncode == 0, erased.stderr
    until(403, visitor_id="ann")
    until(403, user_id="u-ann")
    assert stack.post({**event, "visitor_id": "bob"})[0] == 202

    listed = _headrace(stack, "blocks", "list", "--site", _SITE).stdout
    assert listed.startswith(f"2 ids of {_SITE} are blocked.")
    user = hash_of(_SITE, "user", "u-ann")
    assert {hash_of(_SITE, "visitor", "ann"), user} <= set(listed.split())
    unknown = _headrace(stack, "blocks", "remove", "--site", _SITE, "--visitor", "bob")
    assert unknown.returncode == 1
    assert "headrace blocks list" in unknown.stderr

    removed = _headrace(stack, "blocks", "remove", "--site", _SITE, "--visitor", "ann")
    assert removed.returncode == 0, removed.stderr
    until(202, visitor_id="ann")
    assert stack.post({**event, "user_id": "u-ann"})[0] == 403
    assert _headrace(stack, "blocks", "remove", "--site", _SITE, "--hash", user).returncode == 0
    until(202, user_id="u-ann")
    listed = _headrace(stack, "blocks", "list", "--site", _SITE).stdout
    assert listed == f"No id of {_SITE} is blocked.\n"
