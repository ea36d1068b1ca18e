"""The simulated events are plausible, marked as simulated, and determined by the seed."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import Any

import msgspec
import pytest

from headrace.traffic.demo import shop
from headrace.traffic.demo.simulation import (
    BAD_RELEASE_AT,
    BAD_RELEASE_SECONDS,
    DAY_SECONDS,
    Simulation,
    TimedEvent,
)
from schemas.event_types import EVENT_TYPES
from tests.unit.producer_api.around import read_json

_SECONDS = 1_800.0


@pytest.fixture(scope="module")
def half_hour() -> Sequence[TimedEvent]:
    """Return the events of half an hour with a hundred visitors."""
    return _until(_SECONDS, seed=7)


def _until(seconds: float, seed: int) -> list[TimedEvent]:
    simulation = Simulation(100, "demo", seed)
    return list(takewhile(lambda one: one.at < seconds, simulation.events()))


def _sessions(timed_events: Sequence[TimedEvent]) -> list[list[dict[str, Any]]]:
    by_session = defaultdict(list)
    for one in timed_events:
        by_session[one.event["session_id"]].append(one.event)
    return list(by_session.values())


def test_the_same_seed_gives_the_same_events() -> None:
    """Including all ids."""
    assert _until(60, seed=1) == _until(60, seed=1)
    assert _until(60, seed=1) != _until(60, seed=2)


def test_the_api_accepts_every_event_and_field(half_hour: Sequence[TimedEvent]) -> None:
    """Nothing is rejected, truncated or unknown."""
    for one in half_hour:
        event = read_json(msgspec.json.encode(one.event))
        assert (event.extra, event.truncated, event.event_id) == (None, [], one.event["event_id"])


def test_every_event_is_marked_as_simulated(half_hour: Sequence[TimedEvent]) -> None:
    """In its properties and its user agent, but not as a bot."""
    for one in half_hour:
        assert one.event["properties"]["simulated"] is True
        assert "simulated" in one.event["user_agent"]


def test_all_kinds_of_behaviour_occur(half_hour: Sequence[TimedEvent]) -> None:
    """Every event type, most origins and most pages, ordered by time, with unique ids."""
    events = [one.event for one in half_hour]

    assert {event["type"] for event in events} == set(EVENT_TYPES)
    assert {event["path"] for event in events} == set(shop.TITLES)
    assert len({event.get("referrer") for event in events}) > len(shop.ORIGINS)
    assert len({event["utm"]["campaign"] for event in events if "utm" in event}) == 3
    assert len({event["event_id"] for event in events}) == len(events)
    assert [one.at for one in half_hour] == sorted(one.at for one in half_hour)


def test_a_visit_goes_from_page_to_page(half_hour: Sequence[TimedEvent]) -> None:
    """It begins with a pageview, pages refer to the previous one, payments follow a checkout."""
    for visit in _sessions(half_hour):
        assert visit[0]["type"] == "pageview"
        views = [event for event in visit if event["type"] == "pageview"]
        for last, view in pairwise(views):
            assert view["referrer"] == last["url"]
            assert "utm" not in view
        for event in visit:
            if event["type"] == "payment":
                assert (event["path"], event["amount"] > 0) == ("/checkout", True)
            if event["type"] == "pageleave":
                assert event["duration"] >= 0


def test_visitors_return(half_hour: Sequence[TimedEvent]) -> None:
    """In another session, with the same user id."""
    sessions = defaultdict(set)
    for one in half_hour:
        sessions[one.event["visitor_id"]].add(one.event["session_id"])

    assert max(map(len, sessions.values())) > 1
    assert sum(len(own) == 1 for own in sessions.values()) > len(sessions) / 2


def test_the_number_of_visitors_is_as_requested_and_varies_over_the_day(
    half_hour: Sequence[TimedEvent],
) -> None:
    """Counted as on the dashboard: those of the last five minutes."""
    high, low = (
        len({one.event["visitor_id"] for one in half_hour if at - 300 < one.at <= at})
        for at in (1.4 * DAY_SECONDS, 1.95 * DAY_SECONDS)
    )

    assert high > low
    assert (high + low) / 2 == pytest.approx(100, rel=0.35)


def test_a_bad_release_causes_a_burst_of_errors(half_hour: Sequence[TimedEvent]) -> None:
    """Enough within five minutes to raise an alert."""
    names = Counter(
        one.event["error_name"]
        for one in half_hour
        if one.event["type"] == "error"
        and BAD_RELEASE_AT <= one.at <= BAD_RELEASE_AT + BAD_RELEASE_SECONDS + 60
    )

    assert names[shop.BROKEN_RELEASE.name] >= 10
    assert all(
        one.at > BAD_RELEASE_AT
        for one in half_hour
        if one.event.get("error_name") == shop.BROKEN_RELEASE.name
    )
