from typing import Any

import pytest

from schemas.codec import encode
from schemas.records import SessionState, Utm
from schemas.topics import MAX_RECORD_BYTES
from sinks.rows import session_rows
from streams.domain.sessions import aggregator as aggregator_module
from streams.domain.sessions.aggregator import SessionAggregator
from streams.domain.sessions.rules import MAX_TEXT_BYTES
from streams.domain.sessions.visits import text_bytes
from streams.engine.capacity import MAX_STATES
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
)

KEY = b"shop:s-1"
SECOND_MS = 1_000
CLOSES_MS = NOON_MS + 35 * MINUTE_MS
FORGOTTEN_MS = CLOSES_MS + 25 * HOUR_MS


def new_table() -> tuple[FakeStates[SessionState], SessionAggregator]:
    """Return a table with one visit of one event, and its aggregator."""
    states = FakeStates(SessionState)
    aggregator = SessionAggregator(states, RULES)
    tick(aggregator, NOON_MS)
    aggregator.add(event("a"), source(1))
    end(states, aggregator)
    return states, aggregator


def successor(states: FakeStates[SessionState]) -> SessionAggregator:
    """Return the aggregator of the worker that takes over."""
    stored = states.recovered()
    aggregator = SessionAggregator(states, RULES)
    for key, state in stored.items():
        aggregator.restore(key, state)
    return aggregator


def tick(aggregator: SessionAggregator, log_ms: int) -> bool:
    """Let stream time pass, as the records behind the first event tell it."""
    return aggregator.advance(source(1, log_ms))


def end(states: FakeStates[SessionState], aggregator: SessionAggregator) -> None:
    """End the batch and begin the next."""
    states.write()
    aggregator.evict(MAX_STATES)


def tell(
    states: FakeStates[SessionState], aggregator: SessionAggregator
) -> list[tuple[str, int, int]]:
    """End the batch, and return state, events and revision of each visit."""
    end(states, aggregator)
    found = states.stored().get(KEY)
    return [(one.state, one.events, one.revision) for one in found.visits] if found else []


def test_a_visit_closes_when_stream_time_passes_gap_and_lateness() -> None:
    """Not at it; nobody's event but time alone does it."""
    states, aggregator = new_table()

    tick(aggregator, CLOSES_MS)
    assert tell(states, aggregator) == [("open", 1, 1)]
    tick(aggregator, CLOSES_MS + SECOND_MS)
    assert tell(states, aggregator) == [("closed", 1, 2)]


def test_the_events_own_times_close_nothing() -> None:
    """An event of months ago or of tomorrow leaves other visits as they are."""
    states, aggregator = new_table()
    for offset, moment in enumerate((-3_000 * HOUR, 24 * HOUR), start=2):
        aggregator.add(event(offset, event_ts=NOON + moment), source(offset))

    assert {state for state, *_ in tell(states, aggregator)} == {"open"}


def test_a_late_event_opens_a_closed_visit_again() -> None:
    """And it closes again, each with a higher revision."""
    states, aggregator = new_table()
    tick(aggregator, CLOSES_MS + SECOND_MS)
    aggregator.add(event("b"), source(2, CLOSES_MS + SECOND_MS))

    assert tell(states, aggregator) == [("open", 2, 3)]
    tick(aggregator, CLOSES_MS + SECOND_MS + 36 * MINUTE_MS)
    assert tell(states, aggregator) == [("closed", 2, 4)]


def test_a_visit_is_forgotten_after_the_reach_of_late_events() -> None:
    """25 hours after it closed, and not before."""
    states, aggregator = new_table()
    tick(aggregator, CLOSES_MS + SECOND_MS)
    end(states, aggregator)

    tick(aggregator, FORGOTTEN_MS)
    assert tell(states, aggregator) == [("closed", 1, 2)]
    tick(aggregator, FORGOTTEN_MS + SECOND_MS)
    assert tell(states, aggregator) == []


def test_a_visit_that_closes_late_is_published_before_it_is_forgotten() -> None:
    """After days of silence both are due at once: a later batch deletes it."""
    states, aggregator = new_table()
    tick(aggregator, FORGOTTEN_MS + SECOND_MS)
    tick(aggregator, FORGOTTEN_MS + 2 * MINUTE_MS)
    assert tell(states, aggregator) == [("closed", 1, 2)]

    tick(aggregator, FORGOTTEN_MS + 5 * MINUTE_MS)
    assert tell(states, aggregator) == []


def test_an_old_event_read_again_forgets_nothing_and_begins_nothing() -> None:
    """The state stays as it was published until time deletes it."""
    states, aggregator = new_table()
    tick(aggregator, FORGOTTEN_MS + SECOND_MS)
    end(states, aggregator)
    aggregator.add(event("a"), source(1))

    assert tell(states, aggregator) == [("closed", 1, 2)]


def test_one_of_two_visits_is_forgotten_alone() -> None:
    """The other stays, and the smaller state is written."""
    states, aggregator = new_table()
    tick(aggregator, CLOSES_MS + SECOND_MS)
    src = source(2, CLOSES_MS + SECOND_MS)
    aggregator.advance(src)
    aggregator.add(event("b", event_ts=NOON + 9 * HOUR), src)
    end(states, aggregator)
    tick(aggregator, CLOSES_MS + HOUR_MS)
    assert tell(states, aggregator) == [("closed", 1, 2), ("closed", 1, 2)]

    tick(aggregator, FORGOTTEN_MS + SECOND_MS)
    assert tell(states, aggregator) == [("closed", 1, 2)]


def test_a_clock_that_steps_back_closes_nothing_early() -> None:
    """Log times are a broker's, and another may lead the partition next."""
    states, aggregator = new_table()
    aggregator.add(event("b"), source(2, NOON_MS - HOUR_MS))
    tick(aggregator, CLOSES_MS)

    assert tell(states, aggregator) == [("open", 2, 2)]


def test_a_batch_that_was_taken_back_leaves_nothing_to_close() -> None:
    """The brake drops what a batch staged."""
    states, aggregator = new_table()
    aggregator.add(event("b", session_id="s-2"), source(2))
    states.staged.clear()
    tick(aggregator, CLOSES_MS + SECOND_MS)

    assert list(states.staged) == [KEY]


def test_a_repeat_of_an_older_record_brings_nothing_back() -> None:
    """Stream time follows it, and the next record again."""
    states, aggregator = new_table()
    tick(aggregator, CLOSES_MS + SECOND_MS)
    states.write()
    aggregator = successor(states)
    tick(aggregator, CLOSES_MS + SECOND_MS)
    aggregator.add(event("a"), source(1))
    tick(aggregator, FORGOTTEN_MS + SECOND_MS)
    tick(aggregator, NOON_MS)
    aggregator.advance(source(2, FORGOTTEN_MS + SECOND_MS))
    aggregator.add(event("b"), source(2, FORGOTTEN_MS + SECOND_MS))

    assert tell(states, aggregator) == [("open", 1, 1)]


def test_a_state_is_not_deleted_in_a_batch_that_read_its_events_again() -> None:
    """A crash would have them read once more, with no state that knows them."""
    states, aggregator = new_table()
    tick(aggregator, CLOSES_MS + SECOND_MS)
    states.write()
    aggregator = successor(states)
    tick(aggregator, CLOSES_MS + SECOND_MS)
    aggregator.add(event("a"), source(1))
    tick(aggregator, FORGOTTEN_MS + SECOND_MS)
    assert tell(states, aggregator) == [("closed", 1, 2)]

    tick(aggregator, FORGOTTEN_MS + 5 * MINUTE_MS)
    assert tell(states, aggregator) == []


def keys_of(states: FakeStates[SessionState]) -> set[bytes]:
    """End the batch, and return the sessions that are kept."""
    states.write()
    return set(states.stored())


def full_table() -> tuple[FakeStates[SessionState], SessionAggregator]:
    """Return a aggregator of three sessions: 1 began first, but 2 is idle for longest."""
    states = FakeStates(SessionState)
    aggregator = SessionAggregator(states, RULES)
    for offset, number in enumerate((1, 2, 3, 1), start=1):
        moment = NOON_MS + offset * MINUTE_MS
        aggregator.advance(source(offset, moment))
        aggregator.add(event(offset, session_id=str(number)), source(offset, moment))
    states.write()
    return states, aggregator


def test_the_session_idle_for_longest_leaves_when_there_is_no_room() -> None:
    """An open one is closed first, so that its last value is published."""
    states, aggregator = full_table()

    assert aggregator.evict(limit=2) == 0
    assert keys_of(states) == {b"shop:1", b"shop:2", b"shop:3"}
    assert states.stored()[b"shop:2"].visits[0].state == "closed"
    assert aggregator.evict(limit=2) == 1
    assert keys_of(states) == {b"shop:1", b"shop:3"}
    assert aggregator.evict(limit=2) == 0
    assert keys_of(states) == {b"shop:1", b"shop:3"}


def test_closed_sessions_leave_before_open_ones() -> None:
    """However long ago the open one began."""
    states, aggregator = full_table()
    tick(aggregator, NOON_MS + 40 * MINUTE_MS - SECOND_MS)
    assert keys_of(states) == {b"shop:1", b"shop:2", b"shop:3"}

    assert aggregator.evict(limit=1) == 2
    assert keys_of(states) == {b"shop:1"}


def test_a_session_that_was_evicted_begins_anew() -> None:
    """With the next event; what it was before is not counted again."""
    states, aggregator = full_table()
    for _ in range(2):
        aggregator.evict(limit=2)
        end(states, aggregator)
    aggregator.add(event("late", session_id="2"), source(5))

    assert keys_of(states) == {b"shop:1", b"shop:2", b"shop:3"}
    assert [visit.events for visit in states.stored()[b"shop:2"].visits] == [1]


def test_events_of_a_session_that_left_change_nothing_when_read_again() -> None:
    """Also by a successor, which finds no state that knows them."""
    states, aggregator = full_table()
    for _ in range(2):
        aggregator.evict(limit=2)
        states.write()
    published = len(states.published)

    for reader in (aggregator, successor(states)):
        reader.add(event(2, session_id="2"), source(2))
        assert keys_of(states) == {b"shop:1", b"shop:3"}
    assert len(states.published) == published


def test_a_successor_lets_nothing_leave_before_it_has_read_all_again() -> None:
    """Neither is a closed session deleted, nor an open one closed in its place."""
    states, aggregator = full_table()
    aggregator.evict(limit=2)
    states.write()
    again = successor(states)

    assert again.evict(limit=1) == 0
    assert not states.staged
    again.advance(source(4, NOON_MS + 4 * MINUTE_MS))
    assert again.evict(limit=1) == 1


def test_a_session_that_closed_anew_does_not_leave_first() -> None:
    """That it was closed before is no reason."""
    states, aggregator = full_table()
    aggregator.advance(source(4, NOON_MS + 40 * MINUTE_MS))
    end(states, aggregator)
    late = source(5, NOON_MS + 41 * MINUTE_MS)
    aggregator.advance(late)
    aggregator.add(event("late", session_id="2", event_ts=NOON + MINUTE), late)
    aggregator.advance(source(6, NOON_MS + 80 * MINUTE_MS))
    states.write()

    assert aggregator.evict(limit=1) == 2
    assert keys_of(states) == {b"shop:2"}


def test_so_many_leave_with_one_batch_that_the_loop_does_not_stand_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others go with the next ones."""
    monkeypatch.setattr(aggregator_module, "MAX_EVICTIONS_PER_BATCH", 1)
    states, aggregator = full_table()
    aggregator.advance(source(4, NOON_MS + 40 * MINUTE_MS))
    states.write()

    assert aggregator.evict(limit=1) == 1
    states.write()
    assert aggregator.evict(limit=1) == 1


def test_a_batch_with_hundreds_of_visits_of_a_session_makes_no_large_record() -> None:
    """An import, or a client that means harm; with the longest texts that the API takes."""
    (states, aggregator), letters = new_table(), "aé中😀" * 512
    texts: dict[str, Any] = {
        "path": letters,
        "visitor_id": letters[:128],
        "user_id": letters[:128],
        "utm": Utm(source=letters[:512], medium=letters[:512], campaign=letters[:512]),
    }
    numbers = range(2, 302)
    for number in numbers:
        hosts = {"hostname": f"{number}.example", "url": f"https://{'a.' * 900}{number}/"}
        one = event(number, event_ts=NOON + number * HOUR, **texts, **hosts, referrer=letters)
        aggregator.add(one, source(number))
    end(states, aggregator)

    sizes = [len(encode(state)) for _, state in states.published]
    assert max(sizes) < MAX_RECORD_BYTES // 2
    rows = {row[0]: row for _, state in states.published for row in session_rows(state)}
    assert len(rows) == 1 + len(numbers)
    (kept,) = states.stored().values()
    living = [visit for visit in kept.visits if not visit.leaving]
    assert sum(text_bytes(visit) for visit in living) <= MAX_TEXT_BYTES
    assert living[-1].started_at == NOON + numbers[-1] * HOUR
