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
    """Advance stream time by a record after the first event."""
    return aggregator.advance(source(1, log_ms))


def end(states: FakeStates[SessionState], aggregator: SessionAggregator) -> None:
    """Write the batch and start the next one."""
    states.write()
    aggregator.evict(MAX_STATES)


def published(
    states: FakeStates[SessionState], aggregator: SessionAggregator
) -> list[tuple[str, int, int]]:
    """Write the batch, and return state, events and revision of each visit."""
    end(states, aggregator)
    found = states.stored().get(KEY)
    return [(one.state, one.events, one.revision) for one in found.visits] if found else []


def test_a_visit_closes_after_the_inactivity_gap_and_the_grace_period() -> None:
    """Of stream time, not exactly then; no event is needed."""
    states, aggregator = new_table()

    tick(aggregator, CLOSES_MS)
    assert published(states, aggregator) == [("open", 1, 1)]
    tick(aggregator, CLOSES_MS + SECOND_MS)
    assert published(states, aggregator) == [("closed", 1, 2)]


def test_event_times_do_not_close_visits() -> None:
    """An event from months ago or from tomorrow changes no other visit."""
    states, aggregator = new_table()
    for offset, moment in enumerate((-3_000 * HOUR, 24 * HOUR), start=2):
        aggregator.add(event(offset, event_ts=NOON + moment), source(offset))

    assert {state for state, *_ in published(states, aggregator)} == {"open"}


def test_a_late_event_reopens_a_closed_visit() -> None:
    """It closes again later. Each change has a higher revision."""
    states, aggregator = new_table()
    tick(aggregator, CLOSES_MS + SECOND_MS)
    aggregator.add(event("b"), source(2, CLOSES_MS + SECOND_MS))

    assert published(states, aggregator) == [("open", 2, 3)]
    tick(aggregator, CLOSES_MS + SECOND_MS + 36 * MINUTE_MS)
    assert published(states, aggregator) == [("closed", 2, 4)]


def test_a_visit_expires_after_the_retention_of_closed_visits() -> None:
    """25 hours after it closed."""
    states, aggregator = new_table()
    tick(aggregator, CLOSES_MS + SECOND_MS)
    end(states, aggregator)

    tick(aggregator, FORGOTTEN_MS)
    assert published(states, aggregator) == [("closed", 1, 2)]
    tick(aggregator, FORGOTTEN_MS + SECOND_MS)
    assert published(states, aggregator) == []


def test_a_visit_that_closes_late_is_published_before_it_expires() -> None:
    """After days without records both are due: a later batch deletes it."""
    states, aggregator = new_table()
    tick(aggregator, FORGOTTEN_MS + SECOND_MS)
    tick(aggregator, FORGOTTEN_MS + 2 * MINUTE_MS)
    assert published(states, aggregator) == [("closed", 1, 2)]

    tick(aggregator, FORGOTTEN_MS + 5 * MINUTE_MS)
    assert published(states, aggregator) == []


def test_a_replayed_old_event_changes_nothing() -> None:
    """The state stays as published until it expires."""
    states, aggregator = new_table()
    tick(aggregator, FORGOTTEN_MS + SECOND_MS)
    end(states, aggregator)
    aggregator.add(event("a"), source(1))

    assert published(states, aggregator) == [("closed", 1, 2)]


def test_one_of_two_visits_expires() -> None:
    """The other stays, and the smaller state is written."""
    states, aggregator = new_table()
    tick(aggregator, CLOSES_MS + SECOND_MS)
    src = source(2, CLOSES_MS + SECOND_MS)
    aggregator.advance(src)
    aggregator.add(event("b", event_ts=NOON + 9 * HOUR), src)
    end(states, aggregator)
    tick(aggregator, CLOSES_MS + HOUR_MS)
    assert published(states, aggregator) == [("closed", 1, 2), ("closed", 1, 2)]

    tick(aggregator, FORGOTTEN_MS + SECOND_MS)
    assert published(states, aggregator) == [("closed", 1, 2)]


def test_a_clock_that_steps_back_closes_no_visit_early() -> None:
    """Log append times come from the leader, which may change."""
    states, aggregator = new_table()
    aggregator.add(event("b"), source(2, NOON_MS - HOUR_MS))
    tick(aggregator, CLOSES_MS)

    assert published(states, aggregator) == [("open", 2, 2)]


def test_a_discarded_batch_leaves_nothing_to_close() -> None:
    """The circuit breaker discards staged writes."""
    states, aggregator = new_table()
    aggregator.add(event("b", session_id="s-2"), source(2))
    states.staged.clear()
    tick(aggregator, CLOSES_MS + SECOND_MS)

    assert list(states.staged) == [KEY]


def test_a_replayed_record_does_not_restore_an_expired_visit() -> None:
    """Stream time is its log append time, then that of the next record."""
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

    assert published(states, aggregator) == [("open", 1, 1)]


def test_a_state_is_not_deleted_in_a_batch_that_replays_its_events() -> None:
    """After another crash they would be replayed without their state."""
    states, aggregator = new_table()
    tick(aggregator, CLOSES_MS + SECOND_MS)
    states.write()
    aggregator = successor(states)
    tick(aggregator, CLOSES_MS + SECOND_MS)
    aggregator.add(event("a"), source(1))
    tick(aggregator, FORGOTTEN_MS + SECOND_MS)
    assert published(states, aggregator) == [("closed", 1, 2)]

    tick(aggregator, FORGOTTEN_MS + 5 * MINUTE_MS)
    assert published(states, aggregator) == []


def keys_of(states: FakeStates[SessionState]) -> set[bytes]:
    """Write the batch, and return the sessions in the table."""
    states.write()
    return set(states.stored())


def full_table() -> tuple[FakeStates[SessionState], SessionAggregator]:
    """Return a table with three sessions: 1 started first, 2 is idle for longest."""
    states = FakeStates(SessionState)
    aggregator = SessionAggregator(states, RULES)
    for offset, number in enumerate((1, 2, 3, 1), start=1):
        moment = NOON_MS + offset * MINUTE_MS
        aggregator.advance(source(offset, moment))
        aggregator.add(event(offset, session_id=str(number)), source(offset, moment))
    states.write()
    return states, aggregator


def test_the_session_idle_for_longest_is_evicted() -> None:
    """An open one is closed first, so that its last value is published."""
    states, aggregator = full_table()

    assert aggregator.evict(limit=2) == 0
    assert keys_of(states) == {b"shop:1", b"shop:2", b"shop:3"}
    assert states.stored()[b"shop:2"].visits[0].state == "closed"
    assert aggregator.evict(limit=2) == 1
    assert keys_of(states) == {b"shop:1", b"shop:3"}
    assert aggregator.evict(limit=2) == 0
    assert keys_of(states) == {b"shop:1", b"shop:3"}


def test_closed_sessions_are_evicted_before_open_ones() -> None:
    """However old the open one is."""
    states, aggregator = full_table()
    tick(aggregator, NOON_MS + 40 * MINUTE_MS - SECOND_MS)
    assert keys_of(states) == {b"shop:1", b"shop:2", b"shop:3"}

    assert aggregator.evict(limit=1) == 2
    assert keys_of(states) == {b"shop:1"}


def test_an_evicted_session_starts_another_visit() -> None:
    """With the next event; earlier events are not counted again."""
    states, aggregator = full_table()
    for _ in range(2):
        aggregator.evict(limit=2)
        end(states, aggregator)
    aggregator.add(event("late", session_id="2"), source(5))

    assert keys_of(states) == {b"shop:1", b"shop:2", b"shop:3"}
    assert [visit.events for visit in states.stored()[b"shop:2"].visits] == [1]


def test_replayed_events_of_an_evicted_session_change_nothing() -> None:
    """Also after a takeover without their state."""
    states, aggregator = full_table()
    for _ in range(2):
        aggregator.evict(limit=2)
        states.write()
    published = len(states.published)

    for reader in (aggregator, successor(states)):
        reader.add(event(2, session_id="2"), source(2))
        assert keys_of(states) == {b"shop:1", b"shop:3"}
    assert len(states.published) == published


def test_nothing_is_evicted_during_a_replay() -> None:
    """A closed session is not deleted, and an open one is not closed instead."""
    states, aggregator = full_table()
    aggregator.evict(limit=2)
    states.write()
    again = successor(states)

    assert again.evict(limit=1) == 0
    assert not states.staged
    again.advance(source(4, NOON_MS + 4 * MINUTE_MS))
    assert again.evict(limit=1) == 1


def test_a_reopened_session_is_not_evicted_first() -> None:
    """That it was closed before does not count."""
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


def test_the_evictions_of_a_batch_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that the event loop stays responsive; the next batches evict more."""
    monkeypatch.setattr(aggregator_module, "MAX_EVICTIONS_PER_BATCH", 1)
    states, aggregator = full_table()
    aggregator.advance(source(4, NOON_MS + 40 * MINUTE_MS))
    states.write()

    assert aggregator.evict(limit=1) == 1
    states.write()
    assert aggregator.evict(limit=1) == 1


def test_several_open_sessions_are_closed_in_one_batch() -> None:
    """As many as exceed the limit, those idle for longest first."""
    states, aggregator = full_table()

    assert aggregator.evict(limit=1) == 0
    states.write()

    assert {key: state.visits[0].state for key, state in states.stored().items()} == {
        b"shop:1": "open",
        b"shop:2": "closed",
        b"shop:3": "closed",
    }


def test_hundreds_of_visits_of_a_session_in_a_batch_fit_into_a_record() -> None:
    """An import, or a malicious client, with the longest texts that the API accepts."""
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
