from typing import Any

import pytest

from schemas.codec import encode
from schemas.records import SessionState, Utm, Visit
from schemas.topics import MAX_RECORD_BYTES
from sinks.rows import session_rows
from streams.domain import sessions
from streams.domain.session_book import SessionBook
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import (
    HOUR,
    HOUR_MS,
    MINUTE,
    MINUTE_MS,
    NOON,
    NOON_MS,
    RULES,
    event,
    source,
    uuid_of,
)

GAP = 30 * MINUTE
KEY = b"shop:s-1"


def visits_of(*happened: Any) -> list[Visit]:
    """Return the visits of events, each given as its time or its fields, in this order."""
    state: SessionState | None = None
    for offset, one in enumerate(happened):
        fields = one if isinstance(one, dict) else {"event_ts": NOON + one}
        state = sessions.apply(state, event(offset, **fields), source(offset), RULES)
    assert state is not None
    return state.visits


@pytest.mark.parametrize(("apart", "visits"), [(GAP - 1, 1), (GAP, 1), (GAP + 1, 2)])
@pytest.mark.parametrize("sign", [1, -1])
def test_exactly_the_gap_is_still_one_visit(apart: int, visits: int, sign: int) -> None:
    """Later or earlier by one microsecond more, another begins."""
    assert len(visits_of(0, sign * apart)) == visits


def test_an_event_between_joins_two_visits_into_the_older() -> None:
    """The younger is withdrawn, without its texts: they are in the other now."""
    first, second = {"event_ts": NOON + 2 * GAP, "path": "/late"}, {"event_ts": NOON, "path": "/in"}

    older, younger = visits_of(first, second, GAP)

    assert older.visit_id == visits_of(first)[0].visit_id
    assert (older.state, older.events, older.revision) == ("open", 3, 3)
    assert (older.started_at, older.ended_at) == (NOON, NOON + 2 * GAP)
    assert older.entry is not None
    assert older.entry.value == "/in"
    assert (younger.state, younger.close_reason, younger.revision) == ("withdrawn", "merged", 2)
    assert younger.entry is None


def test_an_event_of_a_withdrawn_visits_time_belongs_to_the_one_that_stayed() -> None:
    """What is withdrawn takes no more events."""
    visits = visits_of(2 * GAP, 0, GAP, 1)

    assert {visit.state: visit.events for visit in visits} == {"withdrawn": 1, "open": 4}


def test_texts_are_the_first_that_are_not_empty() -> None:
    """By time, whatever came first; of one time, by event id."""
    low, high = sorted([uuid_of("a"), uuid_of("b")])
    (visit,) = visits_of(
        {"event_ts": NOON + 2, "visitor_id": "third", "referrer": "only"},
        {"event_ts": NOON + 1, "visitor_id": "second", "event_id": high, "user_id": ""},
        {"event_ts": NOON + 1, "visitor_id": "first", "event_id": low, "path": "/first"},
        {"event_ts": NOON, "visitor_id": "", "type": "copy", "utm": Utm(source="news", medium="")},
    )

    row = session_rows(SessionState(site_id="s", session_id="x", src_offset=0, visits=[visit]))[0]
    assert row[3:5] == ("first", None)
    assert row[10:16] == ("/first", "/", "only", "news", None, None)


@pytest.mark.parametrize(
    ("types", "bounced"),
    [
        (["pageview"], True),
        (["pageview", "pageleave", "web_vitals"], True),
        (["pageview", "pageview"], False),
        (["pageview", "button_click"], False),
        (["pageleave"], False),
        (["pageview", "error"], False),
    ],
)
def test_a_bounce_is_one_pageview_and_nothing_active(types: list[str], bounced: bool) -> None:
    """Leaving a page and its vitals are not of the visitor's doing."""
    visits = visits_of(*({"type": name} for name in types))
    state = SessionState(site_id="s", session_id="x", src_offset=0, visits=visits)

    assert [row[16] for row in session_rows(state)] == [bounced]


def test_an_event_that_was_applied_changes_nothing() -> None:
    """The very same state comes back, so nothing is written."""
    state = sessions.apply(None, event("a"), source(5), RULES)

    assert sessions.apply(state, event("b"), source(5), RULES) is state
    assert sessions.apply(state, event("c"), source(4), RULES) is state


CLOSES_MS = NOON_MS + 35 * MINUTE_MS
FORGOTTEN_MS = CLOSES_MS + 25 * HOUR_MS


def a_book() -> tuple[FakeStates[SessionState], SessionBook]:
    """Return a table with one visit of one event, and its book."""
    states = FakeStates(SessionState)
    book = SessionBook(states, RULES)
    book.advance(NOON_MS)
    book.apply(KEY, event("a"), source(1))
    states.write()
    return states, book


def tell(states: FakeStates[SessionState]) -> list[tuple[str, int, int]]:
    """End the batch, and return state, events and revision of each visit."""
    states.write()
    found = states.stored().get(KEY)
    return [(one.state, one.events, one.revision) for one in found.visits] if found else []


def test_a_visit_closes_when_stream_time_passes_gap_and_lateness() -> None:
    """Not at it; nobody's event but time alone does it."""
    states, book = a_book()

    book.advance(CLOSES_MS)
    assert tell(states) == [("open", 1, 1)]
    book.advance(CLOSES_MS + 1)
    assert tell(states) == [("closed", 1, 2)]


def test_the_events_own_times_close_nothing() -> None:
    """An event of months ago or of tomorrow leaves other visits as they are."""
    states, book = a_book()
    for offset, moment in enumerate((-3_000 * HOUR, 24 * HOUR), start=2):
        book.apply(KEY, event(offset, event_ts=NOON + moment), source(offset))

    assert {state for state, *_ in tell(states)} == {"open"}


def test_a_late_event_opens_a_closed_visit_again() -> None:
    """And it closes again, each with a higher revision."""
    states, book = a_book()
    book.advance(CLOSES_MS + 1)
    book.apply(KEY, event("b"), source(2, CLOSES_MS + 1))

    assert tell(states) == [("open", 2, 3)]
    book.advance(CLOSES_MS + 1 + 35 * MINUTE_MS + 1)
    assert tell(states) == [("closed", 2, 4)]


def test_a_visit_is_forgotten_after_the_reach_of_late_events() -> None:
    """25 hours after it closed, and not before."""
    states, book = a_book()
    book.advance(CLOSES_MS + 1)
    states.write()

    book.advance(FORGOTTEN_MS)
    assert tell(states) == [("closed", 1, 2)]
    book.advance(FORGOTTEN_MS + 1)
    assert tell(states) == []


def test_a_visit_that_closes_late_is_published_before_it_is_forgotten() -> None:
    """After days of silence both are due at once: a later batch deletes it."""
    states, book = a_book()
    book.advance(FORGOTTEN_MS + 1)
    book.advance(FORGOTTEN_MS + 2 * MINUTE_MS)
    assert tell(states) == [("closed", 1, 2)]

    book.advance(FORGOTTEN_MS + 5 * MINUTE_MS)
    assert tell(states) == []


def test_an_old_event_read_again_forgets_nothing_and_begins_nothing() -> None:
    """The state stays as it was published until time deletes it."""
    states, book = a_book()
    book.advance(FORGOTTEN_MS + 1)
    states.write()
    book.apply(KEY, event("a"), source(1))

    assert tell(states) == [("closed", 1, 2)]


def test_one_of_two_visits_is_forgotten_alone() -> None:
    """The other stays, and the smaller state is written."""
    states, book = a_book()
    book.advance(CLOSES_MS + 1)
    book.apply(KEY, event("b", event_ts=NOON + 9 * HOUR), source(2, CLOSES_MS + 1))
    states.write()
    book.advance(CLOSES_MS + HOUR_MS)
    assert tell(states) == [("closed", 1, 2), ("closed", 1, 2)]

    book.advance(FORGOTTEN_MS + 1)
    assert tell(states) == [("closed", 1, 2)]


def test_a_batch_that_was_taken_back_leaves_nothing_to_close() -> None:
    """The brake drops what a batch staged."""
    states, book = a_book()
    book.apply(b"shop:s-2", event("b", session_id="s-2"), source(2))
    states.staged.clear()
    book.advance(CLOSES_MS + 1)

    assert list(states.staged) == [KEY]


def test_time_never_goes_back() -> None:
    """A repeat of an older record does not make closed visits young."""
    states, book = a_book()
    book.advance(CLOSES_MS + 1)
    book.advance(NOON_MS)

    assert tell(states) == [("closed", 1, 2)]


def test_the_state_of_a_session_fits_into_a_record() -> None:
    """A day of visits with the longest texts that the API takes, each joined from two."""
    long = "😀" * 2_048
    texts: dict[str, Any] = {
        "path": long,
        "referrer": long,
        "visitor_id": long[:128],
        "user_id": long[:128],
        "utm": Utm(source=long[:512], medium=long[:512], campaign=long[:512]),
    }
    moments = [slot * 31 * MINUTE for slot in range(46)]
    visits = visits_of(*({"event_ts": NOON + moment, **texts} for moment in moments))
    joined = visits_of(
        *({"event_ts": NOON + moment, **texts} for moment in moments),
        *({"event_ts": NOON + moment + MINUTE, **texts} for moment in moments[1::2]),
    )

    for held in (visits, joined):
        state = SessionState(site_id="s" * 64, session_id=long[:128], src_offset=0, visits=held)
        assert len(encode(state)) < MAX_RECORD_BYTES
