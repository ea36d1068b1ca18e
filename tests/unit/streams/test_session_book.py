from schemas.records import SessionState
from streams.domain.session_book import SessionBook
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import (
    HOUR,
    HOUR_MS,
    MINUTE_MS,
    NOON,
    NOON_MS,
    RULES,
    event,
    source,
)

KEY = b"shop:s-1"
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


def test_a_clock_that_steps_back_closes_nothing_early() -> None:
    """Log times are a broker's, and another may lead the partition next."""
    states, book = a_book()
    book.apply(KEY, event("b"), source(2, NOON_MS - HOUR_MS))
    book.advance(CLOSES_MS)

    assert tell(states) == [("open", 2, 2)]


def test_a_batch_that_was_taken_back_leaves_nothing_to_close() -> None:
    """The brake drops what a batch staged."""
    states, book = a_book()
    book.apply(b"shop:s-2", event("b", session_id="s-2"), source(2))
    states.staged.clear()
    book.advance(CLOSES_MS + 1)

    assert list(states.staged) == [KEY]


def test_time_never_goes_back() -> None:
    """A repeat of an older record brings nothing back into reach."""
    states, book = a_book()
    book.advance(CLOSES_MS + 1)
    states.write()
    book.apply(KEY, event("a"), source(1))
    book.advance(FORGOTTEN_MS + 1)
    book.advance(NOON_MS)
    book.apply(KEY, event("b"), source(2, FORGOTTEN_MS + 1))

    assert tell(states) == [("closed", 1, 2), ("open", 1, 1)]


def test_a_state_is_not_deleted_in_a_batch_that_read_its_events_again() -> None:
    """A crash would have them read once more, with no state that knows them."""
    states, book = a_book()
    book.advance(CLOSES_MS + 1)
    states.write()
    book.apply(KEY, event("a"), source(1))
    book.advance(FORGOTTEN_MS + 1)
    assert tell(states) == [("closed", 1, 2)]

    book.advance(FORGOTTEN_MS + 5 * MINUTE_MS)
    assert tell(states) == []
