"""Metrics and processes of a whole stack."""

import subprocess
import urllib.request

from tests.e2e import operating
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.promtool import promtool
from tests.fixtures.waiting import eventually

EVENT = {"type": "pageview", "site_id": "monitored", "path": "/"}


def metrics(stack: Stack) -> str:
    """Return the text of `/metrics`."""
    with urllib.request.urlopen(f"{stack.url}/metrics", timeout=15) as response:  # noqa: S310 - ours
        return str(response.read().decode())


def test_metrics_follow_an_event_from_its_202_to_sql_and_the_status_shows_all_processes(
    make_stack: MakeStack,
) -> None:
    """On the port of `headrace up`; promtool accepts what it serves."""
    stack = make_stack({})
    for number in range(3):
        assert stack.post({**EVENT, "session_id": f"s{number}"})[0] == 202

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
        text = metrics(stack)
        return [line for line in expected if f"\n{line}\n" not in text]

    eventually(lambda: absent() == [], within_seconds=60, what="the metrics of three events")
    checked = subprocess.run(
        [promtool(), "check", "metrics"],
        input=metrics(stack),
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
