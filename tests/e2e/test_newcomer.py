"""The first steps of a new user: start, send, query, stop, start again."""

import subprocess
import sys

import pytest

from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(240)

#: The example of the event API's documentation.
PAGEVIEW = {
    "type": "pageview",
    "site_id": "my-site",
    "session_id": "session-1",
    "visitor_id": "visitor-1",
    "url": "https://example.com/pricing?plan=pro",
    "path": "/pricing",
    "title": "Pricing",
    "referrer": "https://google.com",
    "screen": {"width": 1920, "height": 1080, "viewport_width": 1280},
    "utm": {"source": "google", "medium": "cpc"},
}


def test_events_are_stored_and_survive_a_restart(make_stack: MakeStack) -> None:
    """A pageview, a pageleave, a payment and an error; after Ctrl-C and a start they are there."""
    stack = make_stack({})
    status, content = stack.post(PAGEVIEW)
    assert (status, content["status"]) == (202, "accepted")
    _send_the_rest(stack)

    eventually(lambda: _has_all(stack), within_seconds=30, what="all events are in SQL")
    assert stack.rows("SELECT event_id FROM events WHERE type = 'pageview'") == [
        {"event_id": content["event_id"]}
    ]
    [visit] = stack.rows("SELECT * FROM sessions")
    assert (visit["events"], visit["pageviews"], visit["errors"], visit["payments"]) == (4, 1, 1, 1)
    assert (visit["entry_path"], visit["utm_source"], visit["state"]) == (
        "/pricing",
        "google",
        "open",
    )
    [page] = stack.rows("SELECT * FROM page_durations_hourly")
    assert (page["path"], page["leaves"], page["total_ms"]) == ("/pricing", 1, 45_000)

    assert stack.stop() == 0
    assert stack.processes() == []
    stack.start()
    assert stack.post({**PAGEVIEW, "session_id": "session-2"})[0] == 202
    eventually(
        lambda: len(stack.rows("SELECT * FROM sessions")) == 2,
        within_seconds=30,
        what="the second session is stored",
    )
    assert len(stack.rows("SELECT * FROM alerts")) == 2


@pytest.mark.slow
def test_the_demo_finds_a_stack_by_its_data_directory(make_stack: MakeStack) -> None:
    """`headrace demo --data-dir` reads the port."""
    stack = make_stack({})
    argv = ["demo", "--data-dir", str(stack.data_dir), "--events", "30", "--rate", "300"]
    demo = subprocess.run(
        [sys.executable, "-m", "headrace", *argv], capture_output=True, check=False
    )

    assert demo.returncode == 0, demo.stderr
    eventually(
        lambda: stack.rows("SELECT count(*) AS n FROM events") == [{"n": 30}],
        within_seconds=30,
        what="all events are stored",
    )


def test_a_killed_role_is_restarted_and_no_process_outlives_headrace_up(
    make_stack: MakeStack,
) -> None:
    """After kill -9 of `headrace up`, all processes that it started exit."""
    stack = make_stack({})
    stack.kill("sinks")
    eventually(
        lambda: "sinks restarted" in stack.screen,
        within_seconds=15,
        what="`headrace up` reports it",
    )
    # A process has no command line for a moment while it is started.
    eventually(lambda: len(stack.processes()) == 6, within_seconds=15, what="all six processes run")
    stack.crash()

    eventually(lambda: stack.processes() == [], within_seconds=15, what="no process is left")


def _send_the_rest(stack: Stack) -> None:
    common = {key: PAGEVIEW[key] for key in ("site_id", "session_id", "path")}
    for event in (
        {"type": "pageleave", "duration": 45_000},
        {"type": "payment", "amount": 49.99, "currency": "EUR", "provider": "stripe"},
        {"type": "error", "error_name": "TypeError", "error_message": "x is undefined"},
    ):
        assert stack.post({**common, **event})[0] == 202


def _has_all(stack: Stack) -> bool:
    visits = stack.rows("SELECT events FROM sessions")
    alerts = stack.rows("SELECT rule FROM alerts ORDER BY rule")
    return (
        visits == stack.rows("SELECT count(*) AS events FROM events") == [{"events": 4}]
        and [alert["rule"] for alert in alerts] == ["error.new", "payment"]
        and len(stack.rows("SELECT * FROM page_durations_hourly")) == 1
    )
