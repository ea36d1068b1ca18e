"""Which of two conflicting claims about a visit wins, whatever arrives first."""

from itertools import permutations
from typing import Any

import pytest

from schemas.records import SessionState, Visit
from sinks.rows import session_rows
from sinks.sql.tables import SessionRow, table_of
from streams.domain.sessions import rules
from tests.unit.streams.samples import MINUTE, NOON, RULES, event, source

_COLUMNS = table_of(SessionRow).columns.keys()


def rows_of(*events: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the row of the visit for each order of arrival; events are a minute apart."""
    made = [event(n, **{"event_ts": NOON + n * MINUTE} | one) for n, one in enumerate(events)]
    rows = []
    for order in permutations(made):
        state: SessionState | None = None
        for offset, one in enumerate(order):
            state = rules.apply(state, one, source(offset), RULES)
        assert state is not None
        [row] = session_rows(state)
        rows.append(dict(zip(_COLUMNS, row, strict=True)))
    return rows


@pytest.mark.parametrize("name", ["visitor_id", "user_id", "referrer"])
def test_the_claim_of_the_most_trusted_event_wins(name: str) -> None:
    """Over those of earlier events, but not if it is empty."""
    claims: list[dict[str, Any]] = [
        {"trust": "open", name: "forged"},
        {"trust": "origin", name: "browser"},
        {"trust": "key", name: ""},
        {"trust": "key", name: "back end"},
        {"trust": "key", name: "later"},
    ]

    assert {row[name] for row in rows_of(*claims)} == {"back end"}
    assert {row[name] for row in rows_of(*claims[:3])} == {"browser"}
    assert {row["trust"] for row in rows_of(*claims)} == {"key"}


def test_nobody_can_move_the_entry_and_exit_of_vouched_pages() -> None:
    """Pages of less trusted events are between them, wherever they are in time."""
    views: list[dict[str, Any]] = [
        {"path": "/forged"},
        {"path": "/in", "trust": "origin"},
        {"path": "/out", "trust": "origin"},
        {"path": "/forged"},
    ]

    assert {(row["entry_path"], row["exit_path"]) for row in rows_of(*views)} == {("/in", "/out")}


def test_attributes_are_those_of_the_first_event() -> None:
    """All of one event: a later one does not fill the gaps. The source is claimed separately."""
    events: list[dict[str, Any]] = [
        {"channel": "Direct"},
        {"channel": "Organic Search", "source": "Google", "country": "AT", "device": "tv"},
        {"country": "DE", "browser": "Firefox"},
    ]

    names = ("source", "channel", "country", "device", "browser")
    assert {tuple(row[name] for name in names) for row in rows_of(*events)} == {
        (None, "Direct", "AT", "tv", None)
    }


def test_an_event_of_a_back_end_without_attributes_claims_none() -> None:
    """A vouched payment keeps the traffic source and the client of the browser.

    What is derived from its HTTP library counts only if there is nothing else.
    """
    browser: dict[str, Any] = {"channel": "Email", "source": "newsletter", "os": "Linux"}
    browser["device"] = "desktop"
    library = {"browser": "Python Requests", "device": "other", "country": "US"}
    payment: dict[str, Any] = {"type": "payment", "trust": "key", "channel": "Direct", **library}

    names = ("channel", "source", "os", "browser", "device", "country")
    [kept] = {tuple(row[name] for name in names) for row in rows_of(browser, payment)}
    [alone] = {tuple(row[name] for name in names) for row in rows_of(payment, {"type": "identify"})}

    assert kept == ("Email", "newsletter", "Linux", None, "desktop", None)
    assert alone == ("Direct", None, None, "Python Requests", "other", "US")


def test_a_vouched_source_and_client_win() -> None:
    """Nobody can change them with an event of an earlier time."""
    forged: dict[str, Any] = {"source": "evil", "channel": "Referral", "country": "XX", "os": "X"}
    vouched = {"source": "Google", "channel": "Paid Search", "device": "tv", "trust": "key"}

    names = ("source", "channel", "country", "os", "device")
    assert {tuple(row[name] for name in names) for row in rows_of(forged, vouched)} == {
        ("Google", "Paid Search", None, None, "tv")
    }


def test_a_retracted_visit_has_no_attributes() -> None:
    """They are in the visit that it was merged into."""
    state: SessionState | None = None
    fields: dict[str, Any] = {"source": "Google", "country": "AT"}
    for offset, minute in enumerate((0, 60, 30)):
        one = event(offset, event_ts=NOON + minute * MINUTE, **fields)
        state = rules.apply(state, one, source(offset), RULES)
    assert state is not None

    by_state: dict[str, Visit] = {visit.state: visit for visit in state.visits}
    assert (by_state["withdrawn"].traffic_source, by_state["withdrawn"].client) == (None, None)
    assert by_state["open"].traffic_source is not None
    assert by_state["open"].client is not None
