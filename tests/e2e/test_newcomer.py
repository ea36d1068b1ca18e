"""A new stack: its metrics, the first steps of a new user, a restart, and a kill."""

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import operating
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.promtool import promtool
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


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a new stack, which the last test kills."""
    stack = Stack(tmp_path_factory.mktemp("new") / "data")
    try:
        stack.start()
        yield stack
    finally:
        stack.end()


def test_metrics_follow_an_event_from_its_202_to_sql_and_the_status_shows_all_processes(
    stack: Stack,
) -> None:
    """On the port of `headrace up`; promtool accepts what it serves. Counters begin at 0."""
    event = {"type": "pageview", "site_id": "monitored", "path": "/"}
    for number in range(3):
        assert stack.post({**event, "session_id": f"s{number}"})[0] == 202

    expected = (
        'headrace_api_requests_total{route="/api/event",status="202"} 3.0',
        'headrace_sinks_latency_seconds_count{agent="store_events"} 3.0',
        'headrace_sinks_rows_total{table="events"} 3.0',
        'headrace_streams_states{table="sessions"} 3.0',
        'headrace_sinks_lag_records{partition="0",topic="events-raw"} 0.0',
        'headrace_role_ready{role="sinks"} 1.0',
        'headrace_live_lag_records{partition="0",topic="events-session"} 0.0',
    )

    def absent() -> list[str]:
        text = _metrics(stack)
        return [line for line in expected if f"\n{line}\n" not in text]

    eventually(lambda: absent() == [], within_seconds=60, what="the metrics of three events")
    checked = subprocess.run(
        [promtool(), "check", "metrics"],
        input=_metrics(stack),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")

    def ready() -> list[str]:
        processes = operating.status(stack)[1]["processes"]
        return sorted(one["role"] for one in processes if one["not_ready"] is None)

    eventually(
        lambda: ready() == ["live", "sinks", "streams", "web"],
        within_seconds=60,
        what="the heartbeats of all processes",
    )


def test_events_are_stored_and_survive_a_restart(stack: Stack) -> None:
    """A pageview, a pageleave, a payment and an error; after Ctrl-C and a start they are there."""
    status, content = stack.post(PAGEVIEW)
    assert (status, content["status"]) == (202, "accepted")
    _send_the_rest(stack)

    eventually(lambda: _has_all(stack), within_seconds=30, what="all events are in SQL")
    [view] = (row for row in _rows(stack, "events") if row["type"] == "pageview")
    assert view["event_id"] == content["event_id"]
    [visit] = _rows(stack, "sessions")
    assert (visit["events"], visit["pageviews"], visit["errors"], visit["payments"]) == (4, 1, 1, 1)
    assert (visit["entry_path"], visit["utm_source"], visit["state"]) == (
        "/pricing",
        "google",
        "open",
    )
    [page] = _rows(stack, "page_durations_hourly")
    assert (page["path"], page["leaves"], page["total_ms"]) == ("/pricing", 1, 45_000)

    assert stack.stop() == 0
    assert stack.processes() == []
    stack.start()
    assert stack.post({**PAGEVIEW, "session_id": "session-2"})[0] == 202
    eventually(
        lambda: len(_rows(stack, "sessions")) == 2,
        within_seconds=30,
        what="the second session is stored",
    )
    assert len(_rows(stack, "alerts")) == 2


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


def test_a_killed_role_is_restarted_and_no_process_outlives_headrace_up(stack: Stack) -> None:
    """After kill -9 of `headrace up`, all processes that it started exit."""
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
    return (
        [visit["events"] for visit in _rows(stack, "sessions")] == [4]
        and len(_rows(stack, "events")) == 4
        and sorted(alert["rule"] for alert in _rows(stack, "alerts")) == ["error.new", "payment"]
        and len(_rows(stack, "page_durations_hourly")) == 1
    )


def _rows(stack: Stack, table: str) -> list[dict[str, Any]]:
    """Return the rows of the new user's site."""
    return stack.rows(f"SELECT * FROM {table} WHERE site_id = 'my-site'")  # noqa: S608


def _metrics(stack: Stack) -> str:
    """Return the text of `/metrics`."""
    with urllib.request.urlopen(f"{stack.url}/metrics", timeout=15) as response:  # noqa: S310 - ours
        return str(response.read().decode())
