"""Months of a clickstream in one go, while roles are killed: SQL is the offline fold."""

import subprocess
import sys
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import clickstream
from tests.e2e.clickstream import SITE, Event
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

GAP = timedelta(minutes=30)
COUNT = 20_000


@pytest.mark.fault
@pytest.mark.timeout(300)
def test_a_replayed_clickstream_is_exact_though_streams_and_sinks_are_killed(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    """Out of order by days, some twice, broken lines between, kill -9 five times: the same rows."""
    stack = make_stack({"HEADRACE_IMPORT__SITES": SITE})
    stream = clickstream.events(COUNT, seed=7)
    clickstream.write(tmp_path / "clicks.jsonl", stream, seed=8)
    replay = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "infra",
            "replay",
            str(tmp_path / "clicks.jsonl"),
            "--to",
            stack.url,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for role in ("streams", "sinks", "streams", "sinks", "streams"):
        stack.kill(role)
    assert replay.wait(120) == 0
    expected = _fold(stream)

    eventually(
        lambda: _counted(stack) == [{"n": COUNT}], within_seconds=120, what="all events are counted"
    )
    assert _visits(stack) == expected
    assert stack.rows("SELECT count(*) AS n, count(DISTINCT event_id) AS ids FROM events") == [
        {"n": COUNT, "ids": COUNT}
    ]
    eventually(
        lambda: _durations(stack) == _offline_durations(stream),
        within_seconds=60,
        what="page durations are those of the file",
    )
    assert stack.rows("SELECT * FROM alerts") == []


def _counted(stack: Stack) -> list[dict[str, Any]]:
    return stack.rows("SELECT sum(events) AS n FROM sessions WHERE state <> 'withdrawn'")


def _visits(stack: Stack) -> set[tuple[Any, ...]]:
    rows = stack.rows("SELECT * FROM sessions WHERE state <> 'withdrawn'")
    return {
        (
            row["session_id"],
            datetime.fromisoformat(row["started_at"]),
            datetime.fromisoformat(row["ended_at"]),
            row["events"],
            row["pageviews"],
            row["errors"],
            row["payments"],
        )
        for row in rows
    }


def _fold(stream: list[Event]) -> set[tuple[Any, ...]]:
    """Cut each session's events, by time, wherever two are further apart than the gap."""
    by_session: defaultdict[str, list[Event]] = defaultdict(list)
    for event in stream:
        by_session[event["session_id"]].append(event)
    folded = set()
    for session, events in by_session.items():
        run: list[Event] = []
        for event in sorted(events, key=lambda event: event["timestamp"]):
            if run and _at(event) - _at(run[-1]) > GAP:
                folded.add(_visit(session, run))
                run = []
            run.append(event)
        folded.add(_visit(session, run))
    return folded


def _visit(session: str, run: list[Event]) -> tuple[Any, ...]:
    types = [event["type"] for event in run]
    counts = (types.count(name) for name in ("pageview", "error", "payment"))
    return (session, _at(run[0]), _at(run[-1]), len(run), *counts)


def _at(event: Event) -> datetime:
    return datetime.fromisoformat(event["timestamp"])


def _durations(stack: Stack) -> dict[str, tuple[int, int]]:
    rows = stack.rows(
        "SELECT path, sum(leaves) AS leaves, sum(total_ms) AS total"
        " FROM page_durations_hourly GROUP BY path"
    )
    return {row["path"]: (row["leaves"], row["total"]) for row in rows}


def _offline_durations(stream: list[Event]) -> dict[str, tuple[int, int]]:
    sums: defaultdict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for event in stream:
        if event["type"] == "pageleave":
            leaves, total = sums[event["path"]]
            sums[event["path"]] = (leaves + 1, total + event["duration"])
    return dict(sums)
