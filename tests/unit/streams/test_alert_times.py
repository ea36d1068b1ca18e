"""Restored alert states with times ahead of the clock, and what an alert of a rate contains."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.alert_rules import ERROR_RATE, RATE_COUNT, RATE_MINUTES
from schemas.records import AlertState
from streams.domain.alerts.aggregator import AlertAggregator
from streams.domain.alerts.fingerprints import fingerprint
from streams.domain.alerts.rule_state import limit_times
from streams.domain.alerts.subscriptions import Subscriptions
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import MINUTE_MS, NOON_MS, event, source

STATE = AlertState(
    site_id="shop",
    rule=ERROR_RATE,
    subject="x",
    applied={"0": 5},
    seen_ms=100,
    window_ms=90,
    count=3,
    raised_ms=95,
    slot_ms=[80, 90, 110],
    slot_counts=[1, 2, 4],
)


@pytest.mark.parametrize(
    ("ceiling_ms", "changed"),
    [
        (109, {"slot_ms": [80, 90], "slot_counts": [1, 2]}),
        (95, {"seen_ms": 95, "slot_ms": [80, 90], "slot_counts": [1, 2]}),
        (94, {"seen_ms": 94, "raised_ms": None, "slot_ms": [80, 90], "slot_counts": [1, 2]}),
        (90, {"seen_ms": 90, "raised_ms": None, "slot_ms": [80, 90], "slot_counts": [1, 2]}),
        (
            89,
            {
                "seen_ms": 89,
                "window_ms": 0,
                "count": 0,
                "raised_ms": None,
                "slot_ms": [80],
                "slot_counts": [1],
            },
        ),
    ],
)
def test_times_ahead_of_the_ceiling_are_limited_or_removed(
    ceiling_ms: int, changed: dict[str, Any]
) -> None:
    """Times at the ceiling stay, and so does everything that is not a time."""
    assert limit_times(STATE, ceiling_ms) == replace(STATE, **changed)
    assert limit_times(STATE, 110) is STATE


@pytest.mark.parametrize(
    ("ahead", "limited"),
    [
        ({"seen_ms": 50}, {"seen_ms": 49}),
        ({"window_ms": 50, "count": 2}, {"window_ms": 0, "count": 0}),
        ({"raised_ms": 50}, {"raised_ms": None}),
        ({"slot_ms": [9, 50], "slot_counts": [1, 2]}, {"slot_ms": [9], "slot_counts": [1]}),
    ],
)
def test_each_time_is_limited_on_its_own(ahead: dict[str, Any], limited: dict[str, Any]) -> None:
    """The others may be in the past, or absent."""
    plain = AlertState(site_id="shop", rule=ERROR_RATE, subject="x", applied={}, seen_ms=1)

    assert limit_times(replace(plain, **ahead), 49) == replace(plain, **{**ahead, **limited})
    same = replace(plain, **ahead)
    assert limit_times(same, 50) is same


def test_an_alert_of_a_rate_contains_count_minutes_and_fingerprint() -> None:
    """What a person needs to judge it; the subject identifies the error."""
    states = FakeStates(AlertState)
    aggregator = AlertAggregator(states, Subscriptions())
    failure = event(0, type="error", error_name="TypeError", error_message="x")
    alerts = [
        alert
        for offset in range(RATE_COUNT)
        for alert in aggregator.add(failure, source(offset))
        if alert.rule == ERROR_RATE
    ]

    [alert] = alerts
    details = json.loads(alert.details)
    assert (details["count"], details["minutes"]) == (RATE_COUNT, RATE_MINUTES)
    assert alert.subject == fingerprint(failure)


def test_the_least_recently_seen_alert_states_are_evicted() -> None:
    """As many as exceed the limit."""
    states = FakeStates(AlertState)
    aggregator = AlertAggregator(states, Subscriptions())
    for offset, name in enumerate(("Old", "Middle", "New")):
        failure = event(offset, type="error", error_name=name)
        at_ms = NOON_MS + offset * MINUTE_MS
        aggregator.advance(source(offset, at_ms))
        aggregator.add(failure, source(offset, at_ms))
    aggregator.flush()
    states.write()
    old = {key for key, state in states.stored().items() if state.seen_ms == NOON_MS}
    count = len(states.stored())

    assert aggregator.evict(limit=count - len(old)) == len(old)
    states.write()

    assert not old & states.stored().keys()
    assert aggregator.evict(limit=count - len(old)) == 0
