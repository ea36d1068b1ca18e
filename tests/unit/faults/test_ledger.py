"""The fault suite's own judgement: what it must find, it finds."""

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
    """Return its row."""
    return {**row_of(record_of(sent(event_id).body, _RECEIVED_AT)), **changes}


def a_ledger() -> Ledger:
    """Return a ledger of four events: told, refused, never answered, told at last."""
    ledger = Ledger(lambda: _RECEIVED_AT / 1_000_000)
    ledger.note(sent("told"), Outcome.ACKNOWLEDGED)
    ledger.note(sent("refused", is_valid=False), Outcome.REFUSED)
    ledger.note(sent("unknown"), Outcome.UNKNOWN)
    ledger.note(sent("late"), Outcome.UNKNOWN)
    ledger.note(sent("late"), Outcome.ACKNOWLEDGED)
    return ledger


def test_an_event_is_what_the_best_of_its_answers_says() -> None:
    """Refused is only what nothing else was said of."""
    ledger = a_ledger()
    ledger.note(sent("maybe", is_valid=False), Outcome.UNKNOWN)
    ledger.note(sent("maybe", is_valid=False), Outcome.REFUSED)

    assert ledger.acknowledged == {"told", "late"}
    assert ledger.refused == {"refused"}
    assert ledger.unknown == {"unknown", "maybe"}


@pytest.mark.parametrize("stored", [["told", "late"], ["told", "late", "unknown"]])
def test_what_nobody_knows_of_may_be_there_or_not(stored: list[str]) -> None:
    """All else is as the clients were told."""
    assert against_ledger(a_ledger(), [row(one) for one in stored], NO_LOG) == []


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([row("told")], "1 acknowledged events are neither stored nor dead letters: ['late']"),
        ([row("told"), row("late"), row("x")], "1 events are stored that were not sent: ['x']"),
        ([row("told"), row("late"), row("refused")], "1 refused events are stored: ['refused']"),
        ([row("told"), row("late"), row("late")], "1 events are stored twice: ['late']"),
        ([row("told"), row("late", type="error")], "the row of late: type is 'error', not 'copy'"),
        ([row("told"), row("late", duration_ms=7)], "duration_ms is 7, not None"),
        ([row("told"), row("late", title="T" * 1_023)], "the row of late: title is 'TT"),
        ([row("told"), row("late", path="/")], "the row of late: path is '/', not '/a'"),
        ([row("told"), row("late", extra=None)], "extra is None, not {'new': [1]}"),
        ([row("told"), row("late", truncated=None)], "truncated is None, not ['title']"),
        (
            [row("told"), row("late", event_ts=_RECEIVED_AT - 59_000_000)],
            "event_ts is 1799999941000000, not 1799999940000000",
        ),
        (
            [row("told"), row("late", received_at=_RECEIVED_AT + 1_000_000)],
            "received_at is 1800000001000000, when no request was under way",
        ),
    ],
)
def test_one_event_that_is_not_as_it_was_told_is_found(
    rows: list[dict[str, Any]], found: str
) -> None:
    """Whichever way it is wrong."""
    assert found in "\n".join(against_ledger(a_ledger(), rows, NO_LOG))


def test_a_dead_letter_is_not_lost() -> None:
    """It is there, for whoever mends its cause."""
    letter = DeadLetter("store_events", "events-raw", 0, 7, "row_refused", "late", None)

    assert against_ledger(a_ledger(), [row("told")], NO_LOG._replace(dead_letters=[letter])) == []


def test_an_event_that_was_misjudged_is_found() -> None:
    """A good one that was refused, or a bad one that was taken."""
    ledger = a_ledger()
    ledger.note(sent("good"), Outcome.REFUSED)

    assert "1 were misjudged" in "\n".join(
        against_ledger(ledger, [row("told"), row("late")], NO_LOG)
    )


def test_a_row_that_differs_is_told_with_its_history() -> None:
    """In the order of the log."""
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

    found = "\n".join(differences("sessions", stored, expected, lambda _: log))

    assert "sessions: 3 of 3 rows differ" in found
    assert "('v1',): events is 2, not 3" in found
    assert "('v2',): should not be there" in found
    assert "('v3',): is missing" in found
    assert found.index("1/0 logged") < found.index("1/1 logged") < found.index("1/2 logged")
    assert differences("sessions", stored, stored, lambda _: log) == []


def test_one_seed_makes_one_traffic() -> None:
    """So that a run can be repeated: the same events of the same visitors."""

    def ids(seed: int) -> list[str]:
        traffic = Traffic(seed)
        return [event.event_id for _ in range(50) for event in traffic.request()]

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)
