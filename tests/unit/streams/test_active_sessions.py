"""When a live session becomes idle: after exactly the window, not a millisecond earlier."""

import pytest

from streams.domain.live.sessions import ACTIVE_MS, ActiveSessions
from tests.unit.streams.samples import NOON_MS, event


def a_session(*, passive: bool = False) -> ActiveSessions:
    """Return the sessions of a site where one event arrived at noon."""
    sessions = ActiveSessions()
    sessions.apply(event("a", type="web_vitals" if passive else "pageview"), NOON_MS)
    return sessions


@pytest.mark.parametrize(("idle_ms", "active"), [(ACTIVE_MS - 1, 1), (ACTIVE_MS, 0)])
def test_a_session_decays_once_it_is_idle_for_the_window(idle_ms: int, active: int) -> None:
    """The announced time of the next decay is the time at which it decays."""
    sessions = a_session()

    assert sessions.next_decay_ms == NOON_MS + ACTIVE_MS
    assert sessions.decay(NOON_MS + idle_ms) is (active == 0)
    assert len(sessions) == active


@pytest.mark.parametrize(("idle_ms", "pages"), [(ACTIVE_MS - 1, ["/"]), (ACTIVE_MS, [])])
def test_a_session_that_was_idle_for_the_window_starts_again(
    idle_ms: int, pages: list[str]
) -> None:
    """Without its previous page; one that was idle for less keeps it."""
    sessions = a_session()
    sessions.apply(event("b", type="custom_event"), NOON_MS + idle_ms)

    assert [name for name, _ in sessions.pages.top()] == pages


@pytest.mark.parametrize(("idle_ms", "visitors"), [(ACTIVE_MS - 1, 2), (ACTIVE_MS, 1)])
def test_passive_events_belong_to_an_activation_within_the_window(
    idle_ms: int, visitors: int
) -> None:
    """The visitor of the passive event counts then; later it has expired."""
    sessions = a_session(passive=True)
    found = sessions.apply(event("b", visitor_id="v-2"), NOON_MS + idle_ms)

    assert len(found) == visitors


@pytest.mark.parametrize(("idle_ms", "held"), [(ACTIVE_MS - 1, 1), (ACTIVE_MS, 0)])
def test_passive_events_decay_after_the_window(idle_ms: int, held: int) -> None:
    """They take memory, though they count nothing."""
    sessions = a_session(passive=True)
    sessions.decay(NOON_MS + idle_ms)

    assert sessions.held == held
