"""The checks of the fault suite find the differences that they must find."""

from typing import Any

import pytest

from schemas.headers import Source
from schemas.records import RawEvent
from tests.faults.checks import against_ledger
from tests.faults.derived import record_of, row_of
from tests.faults.differences import Key, differences
from tests.faults.kafka_log import DeadLetter, KafkaLog
from tests.faults.ledger import Ledger, Outcome
from tests.faults.traffic import Sent, Traffic
from tests.reference import Row

_RECEIVED_AT = 1_800_000_000_000_000
Rows = dict[Key, Row]
NO_LOG = KafkaLog([], [], [], 0)


def sent(event_id: str, *, is_valid: bool = True) -> Sent:
    """Return an event as a client sent it."""
    body = {
        "event_id": event_id,
        "type": "copy",
        "site_id": "shop",
        "session_id": "s",
        "title": "T" * 2_000,
        "path": "/a",
        "timestamp": "2027-01-15T07:59:00Z",
        "new": [1],
    }
    return Sent(event_id, body, is_valid)


def row(event_id: str, **changes: Any) -> dict[str, Any]:
    """Return the row of an event."""
    return {**row_of(record_of(sent(event_id).body, _RECEIVED_AT)), **changes}


def make_ledger() -> Ledger:
    """Return a ledger with four events: accepted, rejected, unknown, accepted at a retry."""
    ledger = Ledger(lambda: _RECEIVED_AT / 1_000_000)
    ledger.record(sent("accepted"), Outcome.ACKNOWLEDGED)
    ledger.record(sent("rejected", is_valid=False), Outcome.REJECTED)
    ledger.record(sent("unknown"), Outcome.UNKNOWN)
    ledger.record(sent("retried"), Outcome.UNKNOWN)
    ledger.record(sent("retried"), Outcome.ACKNOWLEDGED)
    return ledger


def test_the_best_outcome_of_an_event_counts() -> None:
    """An event is rejected only if all of its outcomes are."""
    ledger = make_ledger()
    ledger.record(sent("maybe", is_valid=False), Outcome.UNKNOWN)
    ledger.record(sent("maybe", is_valid=False), Outcome.REJECTED)

    assert ledger.acknowledged == {"accepted", "retried"}
    assert ledger.rejected == {"rejected"}
    assert ledger.unknown == {"unknown", "maybe"}


@pytest.mark.parametrize("stored", [["accepted", "retried"], ["accepted", "retried", "unknown"]])
def test_an_event_with_an_unknown_outcome_may_be_stored(stored: list[str]) -> None:
    """It may also be missing."""
    assert against_ledger(make_ledger(), [row(event_id) for event_id in stored], NO_LOG) == []


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (
            [row("accepted")],
            "1 acknowledged events are neither stored nor dead letters: ['retried']",
        ),
        (
            [row("accepted"), row("retried"), row("x")],
            "1 events are stored that were not sent: ['x']",
        ),
        (
            [row("accepted"), row("retried"), row("rejected")],
            "1 rejected events are stored: ['rejected']",
        ),
        (
            [row("accepted"), row("retried"), row("retried")],
            "1 events are stored twice: ['retried']",
        ),
        (
            [row("accepted"), row("retried", type="error")],
            "the row of retried: type is 'error', not 'copy'",
        ),
        ([row("accepted"), row("retried", duration_ms=7)], "duration_ms is 7, not None"),
        ([row("accepted"), row("retried", title="T" * 1_023)], "the row of retried: title is 'TT"),
        ([row("accepted"), row("retried", path="/")], "the row of retried: path is '/', not '/a'"),
        ([row("accepted"), row("retried", extra=None)], "extra is None, not {'new': [1]}"),
        ([row("accepted"), row("retried", truncated=None)], "truncated is None, not ['title']"),
        (
            [row("accepted"), row("retried", event_ts=_RECEIVED_AT - 59_000_000)],
            "event_ts is 1799999941000000, not 1799999940000000",
        ),
        (
            [row("accepted"), row("retried", received_at=_RECEIVED_AT + 1_000_000)],
            "received_at is 1800000001000000, when no request was in flight",
        ),
    ],
)
def test_a_difference_in_one_event_is_found(rows: list[dict[str, Any]], problem: str) -> None:
    """Missing, duplicate, unexpected and differing rows."""
    assert problem in "\n".join(against_ledger(make_ledger(), rows, NO_LOG))


def test_a_dead_letter_is_not_lost() -> None:
    """It can be replayed."""
    letter = DeadLetter("store_events", "events-raw", 0, 7, "row_refused", "retried", None)

    assert (
        against_ledger(make_ledger(), [row("accepted")], NO_LOG._replace(dead_letters=[letter]))
        == []
    )


def test_a_wrong_outcome_is_found() -> None:
    """A valid event that was rejected, or an invalid one that was accepted."""
    ledger = make_ledger()
    ledger.record(sent("good"), Outcome.REJECTED)

    assert "1 had the wrong outcome" in "\n".join(
        against_ledger(ledger, [row("accepted"), row("retried")], NO_LOG)
    )


def test_a_differing_row_is_reported_with_its_events() -> None:
    """The events are in the order of the log."""
    events = [
        RawEvent(
            event_id=f"e{offset}",
            type="pageview",
            site_id="shop",
            session_id="s",
            received_at=0,
            event_ts=0,
            time_source="server",
        )
        for offset in range(3)
    ]
    log = [(event, Source(1, 2 - offset, 0)) for offset, event in enumerate(events)]
    stored: Rows = {("v1",): {"events": 2, "state": "open"}, ("v2",): {"events": 1}}
    expected: Rows = {("v1",): {"events": 3, "state": "open"}, ("v3",): {"events": 1}}

    problem = "\n".join(differences("sessions", stored, expected, lambda _: log))

    assert "sessions: 3 of 3 rows differ" in problem
    assert "('v1',): events is 2, not 3" in problem
    assert "('v2',): should not be there" in problem
    assert "('v3',): is missing" in problem
    assert problem.index("1/0 logged") < problem.index("1/1 logged") < problem.index("1/2 logged")
    assert differences("sessions", stored, stored, lambda _: log) == []


def test_the_same_seed_creates_the_same_traffic() -> None:
    """A run can be repeated."""

    def ids(seed: int) -> list[str]:
        traffic = Traffic(seed)
        return [event.event_id for _ in range(50) for event in traffic.request()]

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)
