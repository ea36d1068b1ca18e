"""Erasures of sessions, as the aggregator applies them."""

from schemas.records import SessionState
from streams.domain.sessions.aggregator import SessionAggregator
from streams.engine.capacity import MAX_STATES
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import NOON_MS, RULES, event, source

KEY = b"shop:s-1"
_SECOND_MS = 1_000


def end_batch(
    states: FakeStates[SessionState], sessions: SessionAggregator
) -> list[tuple[str, int | None]]:
    """Write the batch, and start the next one.

    Return the flat visits that were sent, as key and number of events, None for a tombstone.
    """
    sent = [(key.decode(), visit.events if visit else None) for key, visit in sessions.flush()]
    states.write()
    sessions.evict(MAX_STATES)
    return sent


def with_a_visit() -> tuple[FakeStates[SessionState], SessionAggregator]:
    """Return the states and the aggregator of a session with an event at offset 1."""
    states = FakeStates(SessionState)
    sessions = SessionAggregator(states, RULES)
    sessions.advance(source(1))
    sessions.add(event("a"), source(1))
    end_batch(states, sessions)
    return states, sessions


def successor_of(states: FakeStates[SessionState]) -> SessionAggregator:
    """Return the aggregator of the worker that takes over."""
    recovered = states.recovered()
    sessions = SessionAggregator(states, RULES)
    for key, state in recovered.items():
        sessions.restore(key, state)
    sessions.evict(MAX_STATES)
    return sessions


def erase(sessions: SessionAggregator, offset: int) -> None:
    """Apply an erasure at an offset."""
    sessions.advance(source(offset))
    sessions.erase(KEY, source(offset))


def test_an_erased_session_is_published_without_visits_and_then_deleted() -> None:
    """Sinks delete the rows when they read the first; the tombstone follows."""
    states, sessions = with_a_visit()

    erase(sessions, 2)
    end_batch(states, sessions)
    assert states.published[-1][1].visits == []
    sessions.advance(source(3, NOON_MS + 2 * _SECOND_MS))
    end_batch(states, sessions)

    assert states.stored() == {}


def test_an_event_after_the_erasure_starts_a_new_visit() -> None:
    """Also in the same batch: the erasure is published before it."""
    states, sessions = with_a_visit()

    erase(sessions, 2)
    sessions.add(event("b"), source(3))
    end_batch(states, sessions)

    published = [[visit.events for visit in state.visits] for _, state in states.published[-2:]]
    assert published == [[], [1]]
    assert states.stored()[KEY].visits[0].visit_id != states.published[0][1].visits[0].visit_id


def test_a_session_without_a_state_is_published_too() -> None:
    """Its state has expired, but its rows still exist."""
    states = FakeStates(SessionState)
    sessions = SessionAggregator(states, RULES)

    erase(sessions, 1)
    end_batch(states, sessions)

    assert [state.visits for _, state in states.published] == [[], []]  # and as the last state


def test_an_erasure_is_applied_once() -> None:
    """A replay does not change later visits."""
    states, sessions = with_a_visit()
    erase(sessions, 2)
    sessions.add(event("b"), source(3))
    end_batch(states, sessions)
    before = states.stored()
    successor = successor_of(states)

    erase(successor, 2)
    end_batch(states, successor)

    assert states.stored() == before


def test_an_erased_state_is_restored_and_deleted() -> None:
    """By a worker that takes over between the two records."""
    states, sessions = with_a_visit()
    erase(sessions, 2)
    end_batch(states, sessions)
    successor = successor_of(states)

    for offset in (2, 3):
        successor.advance(source(offset, NOON_MS + 60 * _SECOND_MS * offset))
        end_batch(states, successor)
    successor.advance(source(4, NOON_MS + 600 * _SECOND_MS))
    end_batch(states, successor)

    assert states.stored() == {}


def test_the_event_at_the_offset_of_an_erasure_is_not_applied_twice() -> None:
    """An erasure that was applied at this offset is not published again."""
    states, sessions = with_a_visit()
    erase(sessions, 2)
    end_batch(states, sessions)
    published = len(states.published)

    erase(successor_of(states), 2)
    states.write()

    assert len(states.published) == published


def test_a_replayed_erasure_of_a_deleted_session_publishes_nothing() -> None:
    """The tombstone records that it was applied."""
    states, sessions = with_a_visit()
    erase(sessions, 2)
    end_batch(states, sessions)
    sessions.advance(source(2, NOON_MS + 2 * _SECOND_MS))
    end_batch(states, sessions)
    assert states.stored() == {}
    published = len(states.published)

    erase(successor_of(states), 2)
    states.write()

    assert len(states.published) == published


def test_the_erased_state_names_its_site_and_session() -> None:
    """A session id may contain colons, a site id may not."""
    states = FakeStates(SessionState)
    sessions = SessionAggregator(states, RULES)
    sessions.advance(source(1))
    sessions.erase(b"shop:a:b", source(1))
    states.write()

    erased = states.stored()[b"shop:a:b"]
    assert (erased.site_id, erased.session_id) == ("shop", "a:b")


def test_flat_visits_of_an_erased_session_are_deleted() -> None:
    """Those of its state, and those that the erasure names because their state has expired."""
    states, sessions = with_a_visit()
    [visit] = states.stored()[KEY].visits
    sessions.add(event("b"), source(2))

    sessions.advance(source(3))
    sessions.erase(KEY, source(3), ["expired", visit.visit_id])
    sessions.add(event("c"), source(4))
    sent = end_batch(states, sessions)

    [later] = states.stored()[KEY].visits
    assert sent == [("expired", None), (visit.visit_id, None), (later.visit_id, 1)]


def test_passive_events_have_no_flat_visit_to_delete() -> None:
    """They were never sent."""
    states = FakeStates(SessionState)
    sessions = SessionAggregator(states, RULES)
    sessions.advance(source(1))
    sessions.add(event("a", type="pageleave"), source(1))
    assert end_batch(states, sessions) == []

    erase(sessions, 2)
    assert end_batch(states, sessions) == []
