"""Imports into a running `headrace up`."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

_OLD = "2024-03-01T10:00:00Z"
_CSV = """
Type;site_id;session_id;visitor_id;timestamp;path;sent_at;amount
pageview;imp;s1;\\N;2024-03-01 10:00:00 UTC;/a;2024-03-01T10:00:09Z;
payment;imp;s1;v1;1709287260000;/b;;12,50
payment;imp;s1;v1;1709287260000;/b;;12,50
"""


def _is_clamped(stack: Stack, site_id: str) -> bool:
    event = {"type": "copy", "site_id": site_id, "session_id": "other", "timestamp": _OLD}
    (_, content) = stack.post([event], "/api/events")
    return "clamped" in content["results"][0]


@pytest.mark.timeout(180)
def test_an_import_keeps_its_times_and_counts_once(stack: Stack, tmp_path: Path) -> None:
    """It needs no restart and raises no alert; afterwards timestamps are clamped again."""
    (tmp_path / "x.csv").write_text(_CSV, "utf-16")
    for _ in range(2):
        summary = json.loads(stack.headrace("replay", str(tmp_path / "x.csv"), "--json"))
        assert (summary["accepted"], summary["clamped"]) == (3, 0)

    assert stack.post({"type": "copy", "site_id": "now", "session_id": "s"})[0] == 202
    eventually(
        lambda: stack.rows("SELECT * FROM sessions WHERE site_id = 'now'"),
        within_seconds=30,
        what="a later event is stored",
    )
    eventually(
        lambda: (
            [
                (row["events"], row["payments"], row["started_at"])
                for row in stack.rows("SELECT * FROM sessions WHERE site_id = 'imp'")
            ]
            == [(3, 2, "2024-03-01T10:00:00.000000Z")]
        ),
        within_seconds=30,
        what="the visit is stored once",
    )
    eventually(
        lambda: (
            [row["time_source"] for row in stack.rows("SELECT * FROM events WHERE site_id = 'imp'")]
            == ["client"] * 3
        ),
        within_seconds=30,
        what="the events are stored once",
    )
    assert stack.rows("SELECT * FROM alerts WHERE site_id = 'imp'") == []
    eventually(
        lambda: _is_clamped(stack, "imp"), within_seconds=5, what="the import window is closed"
    )


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_an_interrupted_import_closes_its_window(stack: Stack, tmp_path: Path) -> None:
    """With Ctrl-C; the window is open while the import runs."""
    event = {"type": "copy", "site_id": "interrupted", "session_id": "s", "timestamp": _OLD}
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join([json.dumps(event)] * 5_000))
    options = ("--data-dir", str(stack.data_dir), "--rate", "50")
    argv = [sys.executable, "-m", "headrace", "replay", str(path), *options]
    replay = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(
            lambda: not _is_clamped(stack, "interrupted"),
            within_seconds=30,
            what="the window is open",
        )
        replay.send_signal(signal.SIGINT)
        assert replay.wait(30) == 1
    finally:
        replay.kill()
        replay.wait()

    eventually(
        lambda: _is_clamped(stack, "interrupted"), within_seconds=5, what="the window is closed"
    )
