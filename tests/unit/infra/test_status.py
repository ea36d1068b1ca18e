"""What of a status is red, what to do about it, and how it is shown."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from infra.status.judge import BEHIND_SECONDS, problems_of
from infra.status.model import DeadLetterCount, Flow, Problem, Role, Status, TableCount
from infra.status.screen import shown

_NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)


def _flow(**fields: Any) -> Flow:
    given = {"role": "sinks", "topic": "events-raw", "lag": 0, "grows": False, "rate": 0.0}
    return Flow(**{**given, **fields})


def _roles(**fields: Any) -> list[Role]:
    return [Role(**{"name": "sinks", "workers": 1, **fields})]


def test_nothing_is_red_when_all_is_done() -> None:
    """Nor when there is a lag that shrinks, or is young; nor are old dead letters news."""
    flows = [
        _flow(),
        _flow(lag=9_000, rate=800.0, behind_seconds=500.0),
        _flow(lag=10, grows=True, behind_seconds=BEHIND_SECONDS),
    ]
    letters = [DeadLetterCount(topic="alerts-dlq", kept=9, last_hour=0)]

    assert not list(problems_of(Status(roles=_roles(), flows=flows, dead_letters=letters)))


@pytest.mark.parametrize(
    ("status", "what", "do"),
    [
        (Status(roles=_roles(workers=0)), "No worker of the role sinks works", "headrace sinks"),
        (
            Status(roles=_roles(not_ready="the database does not answer")),
            "sinks is not ready: the database does not answer",
            "logs/sinks.log",
        ),
        (
            Status(flows=[_flow(lag=1_200, stuck=[0, 3])]),
            "sinks does not move on in events-raw, partition 0, 3, with 1,200 records to go",
            "docs/dead-letters.md",
        ),
        (
            Status(flows=[_flow(lag=1_200, grows=True, behind_seconds=31.0)]),
            "sinks falls behind in events-raw: 1,200 records",
            "more workers",
        ),
        (
            Status(dead_letters=[DeadLetterCount(topic="alerts-dlq", kept=9, last_hour=2)]),
            "2 dead letters in alerts-dlq in the last hour",
            "headrace dlq list --topic alerts-dlq",
        ),
    ],
)
def test_what_is_red_is_said_with_what_to_do(status: Status, what: str, do: str) -> None:
    """A sentence each."""
    (problem,) = problems_of(status)

    assert problem.what.startswith(what)
    assert do in problem.do


def test_a_role_that_does_not_run_is_said_once() -> None:
    """And not again for each topic that it does not read."""
    flows = [_flow(lag=5, stuck=[1]), _flow(topic="sessions", lag=5, stuck=[1])]

    assert len(list(problems_of(Status(roles=_roles(workers=0), flows=flows)))) == 1


def _text(status: Status) -> str:
    console = Console(file=io.StringIO(), width=120)
    for part in shown(status, _NOW):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_status_is_shown_whole() -> None:
    """Times as people say them; what is estimated says so."""
    flow = _flow(
        lag=1_234,
        rate=5_678.4,
        done_until=_NOW - timedelta(seconds=3),
        last_commit=_NOW - timedelta(minutes=5),
    )
    text = _text(
        Status(
            roles=_roles(process=77),
            flows=[flow],
            dead_letters=[DeadLetterCount(topic="alerts-dlq", kept=9, last_hour=0)],
            tables=[TableCount(table="events", rows=5_000_000, estimated=True)],
        )
    )

    for part in ("1,234", "5,678", "3 s ago", "5 min ago", "about 5,000,000", "77", "All is well"):
        assert part in text


def test_what_is_red_comes_last_and_steers_no_terminal() -> None:
    """What a role says of itself may hold a stranger's text."""
    text = _text(Status(problems=[Problem(what="bad \x1b[2J", do="mend it")]))

    assert "\x1b" not in text
    assert text.endswith("→ mend it\n")
    assert "All is well" not in text
