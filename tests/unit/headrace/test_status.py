"""The problems in a status, and how a status is shown."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from headrace.ops.status import collect
from headrace.ops.status.dead_letters import count_by_topic
from headrace.ops.status.model import (
    ConsumerProgress,
    DeadLetterCount,
    Problem,
    Role,
    Status,
    TableCount,
)
from headrace.ops.status.problems import MAX_BEHIND_SECONDS, find_problems
from headrace.ops.status.table import render_status
from schemas import codec

_NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)


def _consumer(**fields: Any) -> ConsumerProgress:
    given = {"role": "sinks", "topic": "events-raw", "lag": 0, "grows": False, "rate": 0.0}
    return ConsumerProgress(**{**given, **fields})


def _roles(**fields: Any) -> list[Role]:
    return [Role(**{"name": "sinks", "workers": 1, **fields})]


def test_a_healthy_status_has_no_problems() -> None:
    """A shrinking or short lag, and old dead letters, are no problems either."""
    consumers = [
        _consumer(),
        _consumer(lag=9_000, rate=800.0, behind_seconds=500.0),
        _consumer(lag=10, grows=True, behind_seconds=MAX_BEHIND_SECONDS),
    ]
    letters = [DeadLetterCount(topic="alerts-dlq", kept=9, last_hour=3, open=0)]

    assert not list(
        find_problems(Status(roles=_roles(), consumers=consumers, dead_letters=letters))
    )


@pytest.mark.parametrize(
    ("status", "what", "do"),
    [
        (
            Status(roles=_roles(workers=0)),
            "No worker of the role sinks is running",
            "headrace sinks",
        ),
        (
            Status(roles=_roles(not_ready="the database does not answer")),
            "sinks is not ready: the database does not answer",
            "logs/sinks.log",
        ),
        (
            Status(roles=_roles(name="streams", expired=1_200)),
            "1,200 records of events-raw expired before streams routed them",
            "headrace rebuild sessions",
        ),
        (
            Status(consumers=[_consumer(lag=1_200, stuck=[0, 3])]),
            "sinks makes no progress in events-raw, partition 0, 3, with a lag of 1,200 records",
            "docs/dead-letters.md",
        ),
        (
            Status(consumers=[_consumer(lag=1_200, grows=True, behind_seconds=31.0)]),
            "sinks falls behind in events-raw: 1,200 records",
            "more workers",
        ),
        (
            Status(dead_letters=[DeadLetterCount(topic="alerts-dlq", kept=9, last_hour=2, open=2)]),
            "2 dead letters in alerts-dlq in the last hour",
            "headrace dlq list --topic alerts-dlq",
        ),
    ],
)
def test_each_problem_says_what_to_do(status: Status, what: str, do: str) -> None:
    """In one sentence each."""
    (problem,) = find_problems(status)

    assert problem.what.startswith(what)
    assert do in problem.do


def test_a_role_without_workers_is_one_problem() -> None:
    """Not another one for each of its topics."""
    consumers = [_consumer(lag=5, stuck=[1]), _consumer(topic="sessions", lag=5, stuck=[1])]

    assert len(list(find_problems(Status(roles=_roles(workers=0), consumers=consumers)))) == 1


def _text(status: Status) -> str:
    console = Console(file=io.StringIO(), width=120)
    for part in render_status(status, _NOW):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_status_is_shown_in_full() -> None:
    """Times are relative, and estimates are marked."""
    consumer = _consumer(
        lag=1_234,
        rate=5_678.4,
        done_until=_NOW - timedelta(seconds=3),
        last_commit=_NOW - timedelta(minutes=5),
    )
    text = _text(
        Status(
            roles=_roles(process=77),
            consumers=[consumer],
            dead_letters=[DeadLetterCount(topic="alerts-dlq", kept=9, last_hour=3, open=0)],
            tables=[TableCount(table="events", rows=5_000_000, estimated=True)],
        )
    )

    for part in ("1,234", "5,678", "3 s ago", "5 min ago", "about 5,000,000", "77", "All is well"):
        assert part in text


def test_the_verdict_comes_first_and_is_escaped() -> None:
    """The reason that a role reports may contain untrusted text."""
    tables = [TableCount(table="events", rows=1, estimated=False)]
    problems = [Problem(what="bad \x1b[2J", do="fix it"), Problem(what="worse", do="run")]
    one = _text(Status(tables=tables, problems=problems[:1])).splitlines()
    two = _text(Status(tables=tables, problems=problems)).splitlines()

    assert one[0] == "✗ bad \\x1b[2J → fix it"
    assert two[:3] == ["✗ 2 problems:", "✗ bad \\x1b[2J → fix it", "✗ worse → run"]
    assert _text(Status(tables=tables)).splitlines()[0] == "✓ All is well."


def test_the_slow_codec_is_a_note_and_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how to get the fast one."""
    monkeypatch.setattr(codec, "IS_COMPILED", False)
    text = _text(Status(notes=collect.notes()))

    assert text.startswith("✓ All is well.\n! The slow codec is active")
    assert "install a C compiler" in text
    monkeypatch.setattr(codec, "IS_COMPILED", True)
    assert collect.notes() == []


def test_without_lag_everything_is_processed() -> None:
    """A time would look as if records were missing since."""
    at = _NOW - timedelta(minutes=5)
    (done,) = [
        line
        for line in _text(Status(consumers=[_consumer(done_until=at)])).splitlines()
        if "raw" in line
    ]
    (behind,) = [
        line
        for line in _text(Status(consumers=[_consumer(lag=1, done_until=at)])).splitlines()
        if "raw" in line
    ]

    assert "all" in done
    assert "5 min ago" not in done
    assert "5 min ago" in behind


@pytest.mark.parametrize(
    ("number", "said"), [(1, "1 dead letter in"), (1_000, "1,000 dead letters in")]
)
def test_a_single_dead_letter_is_singular(number: int, said: str) -> None:
    """In the sentence of the problem."""
    count = DeadLetterCount(topic="alerts-dlq", kept=9_000, last_hour=5_000, open=number)
    (problem,) = find_problems(Status(dead_letters=[count]))

    assert problem.what.startswith(said)
    assert "headrace dlq discard" in problem.do


def test_resolved_dead_letters_count_in_their_own_topic() -> None:
    """Replays that were rejected again are in the topic they were routed through."""
    names = (
        "store_sessions:sessions/2/48",
        "store_sessions:events-raw/2/96",
        "route_events:events-raw/0/1",
        "unknown:alerts-dlq/0/3",
    )
    assert count_by_topic(names) == {"sessions-dlq": 1, "events-raw-dlq": 2, "alerts-dlq": 1}


@pytest.mark.parametrize(("seconds", "is_red"), [(0.0, False), (299.0, False), (172_800.0, True)])
def test_a_broker_clock_that_is_ahead_is_a_problem(seconds: float, is_red: bool) -> None:
    """On any machine, even without roles."""
    found = collect.clock_problems(seconds)
    assert [problem.what for problem in found] == (
        ["The log append times of the last events are 2,880 minutes ahead of this machine's clock"]
        if is_red
        else []
    )
