"""Restored session states with log times ahead of the worker's clock."""

import pytest

from schemas.clock_tolerance import LEAD_MS
from schemas.records import SessionState
from streams.domain.sessions.aggregator import SessionAggregator
from streams.engine.capacity import MAX_STATES
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import DAY_MS, MINUTE_MS, NOON_MS, RULES, event, source

KEY = b"shop:s-1"
_CLOSED_MS = NOON_MS + 36 * MINUTE_MS


def restored(lead_ms: int) -> tuple[FakeStates[SessionState], SessionAggregator]:
    """Return a session whose event has this log time after noon, restored at noon."""
    states = FakeStates(SessionState)
    before = SessionAggregator(states, RULES)
    before.advance(source(1, NOON_MS + lead_ms))
    before.add(event("a"), source(1, NOON_MS + lead_ms))
    states.write()
    recovered = states.recovered()
    after = SessionAggregator(states, RULES, NOON_MS)
    for key, state in recovered.items():
        after.restore(key, state)
    return states, after


def test_log_times_ahead_of_the_clock_do_not_keep_visits_open() -> None:
    """They are limited once; the visit closes as if its event had been stored at the ceiling."""
    states, sessions = restored(DAY_MS)

    sessions.evict(MAX_STATES, NOON_MS)
    states.write()
    assert states.stored()[KEY].visits[0].last_log_ms == NOON_MS
    sessions.evict(MAX_STATES, NOON_MS - 1)
    assert not states.staged

    sessions.advance(source(1, _CLOSED_MS))
    states.write()
    assert states.stored()[KEY].visits[0].state == "closed"


def test_without_a_ceiling_log_times_stay() -> None:
    """The clock of the broker is not known yet; a later batch limits them."""
    states, sessions = restored(DAY_MS)

    sessions.evict(MAX_STATES)
    assert not states.staged

    sessions.evict(MAX_STATES, NOON_MS)
    assert states.staged[KEY] is not None


@pytest.mark.parametrize(("lead_ms", "limited"), [(LEAD_MS, False), (LEAD_MS + 1, True)])
def test_small_leads_are_tolerated(lead_ms: int, limited: bool) -> None:
    """Clocks of brokers and workers differ."""
    states, sessions = restored(lead_ms)

    sessions.evict(MAX_STATES, NOON_MS)

    assert (KEY in states.staged) is limited


def test_a_session_that_was_deleted_since_is_skipped() -> None:
    """It has no times to limit."""
    states, sessions = restored(DAY_MS)
    states.delete(KEY)
    states.write()

    sessions.evict(MAX_STATES, NOON_MS)

    assert not states.staged
