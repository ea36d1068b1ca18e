"""Rules with parameters, compared with a scan of the log."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any
from uuid import uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alert_rules import ErrorRateParams, non_defaults, read_params
from schemas.records import AlertState, RawEvent, Subscription
from streams.domain.alerts import aggregator as aggregator_module
from streams.domain.alerts.aggregator import AlertAggregator
from streams.domain.alerts.fingerprints import fingerprint
from streams.domain.alerts.subscriptions import Subscriptions
from tests import reference
from tests.property.streams.alerting import raise_alerts
from tests.property.streams.histories import Logged, Shape, Step, events_of, logs, steps
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import MINUTE_MS, NOON, event, source
from tests.unit.streams.subscribed import subscription

Wanted = dict[str, Subscription]

WAITS_MS = (0, 1, 10_000, MINUTE_MS, 20 * MINUTE_MS)

_PAYMENTS = st.fixed_dictionaries(
    {},
    optional={
        "min_amount": st.sampled_from([0, 10, 99.5]),
        "currency": st.sampled_from(["EUR", "usd"]),
    },
)
_RATES = st.fixed_dictionaries(
    {},
    optional={
        "count": st.sampled_from([1, 2, 3, 10]),
        "minutes": st.sampled_from([1, 5, 60]),
        "per": st.sampled_from(["fingerprint", "site"]),
    },
)


@st.composite
def wanted(draw: st.DrawFn) -> Wanted:
    """Draw subscriptions of two sites, some of them disabled."""
    given_params = st.tuples(st.just("payment"), _PAYMENTS) | st.tuples(
        st.just("error.rate"), _RATES
    )
    wanted: Wanted = {}
    for name, (rule, params) in enumerate(draw(st.lists(given_params, max_size=5))):
        one = subscription(
            name,
            rule,
            params,
            site_id=draw(st.sampled_from(["shop", "blog"])),
            enabled=draw(st.sampled_from([True, True, True, False])),
        )
        wanted[one.subscription_id] = one
    return wanted


@st.composite
def events(draw: st.DrawFn) -> Callable[[int], RawEvent]:
    """Return a strategy of payments and errors of two sites."""
    fields: dict[str, Any] = {
        "type": draw(st.sampled_from(["error", "error", "payment"])),
        "site_id": draw(st.sampled_from(["shop", "shop", "blog"])),
        "error_name": draw(st.sampled_from(["TypeError", "RangeError"])),
        "amount": draw(st.sampled_from([None, Decimal(5), Decimal(10), Decimal("99.49")])),
        "currency": draw(st.sampled_from([None, "EUR", "USD"])),
        "event_ts": NOON,
    }
    return lambda index: event(index, **fields)


def scan(log: Sequence[Logged], one: Subscription) -> dict[str, tuple[str, str | None]]:
    """Return subject and event of a subscription's alerts, by alert id."""
    params = read_params(one.rule, json.loads(one.params))
    raised: dict[str, tuple[str, str | None]] = {}
    if not one.enabled or not non_defaults(params):
        return raised

    def publish(subject: str, occasion: str, of: RawEvent) -> None:
        about = f"{one.subscription_id}:{subject}"
        name = f"{one.site_id}:{one.rule}:{about}:{occasion}"
        raised[str(uuid5(reference.ALERT_IDS, name))] = (about, of.event_id)

    times: defaultdict[str, list[int]] = defaultdict(list)
    raised_ms: dict[str, int] = {}
    for of, src in reference.counted(events_of(log)):
        if of.site_id != one.site_id:
            continue
        if of.type == "error" and isinstance(params, ErrorRateParams):
            subject = "*" if params.per == "site" else fingerprint(of)
            size = params.minutes * MINUTE_MS
            if not reference.count_error(times[subject], src.log_ms, params.count, size):
                continue
            if subject not in raised_ms or src.log_ms > raised_ms[subject] + size:
                raised_ms[subject] = src.log_ms
                publish(subject, of.event_id, of)
    return raised


@given(logs(events(), Shape(WAITS_MS, size=60, partitions=2)), wanted(), steps())
def test_each_subscription_gets_the_alerts_of_a_scan(
    log: list[Logged], wanted: Wanted, plan: list[Step]
) -> None:
    """With any crashes and replays. The alerts of rules without parameters do not change."""
    sent = raise_alerts(log, plan, wanted)

    for name, one in wanted.items():
        found = {
            alert.alert_id: (alert.subject, alert.event_id)
            for alert in sent
            if alert.subscription_id == name
        }
        assert found == scan(log, one)
    every_sites = {alert.alert_id for alert in sent if alert.subscription_id is None}
    assert every_sites == set(reference.alerts(events_of(log), fingerprint))


@given(st.integers(1, 3), st.lists(st.integers(0, 6), max_size=30))
def test_the_number_of_custom_rates_is_bounded(bound: int, errors: list[int]) -> None:
    """The least recently seen error is evicted first."""
    states = FakeStates(AlertState)
    subscriptions = Subscriptions()
    one = subscription(0, "error.rate", {"count": 2})
    subscriptions.put(one.subscription_id, one)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aggregator_module, "MAX_CUSTOM_RATES", bound)
        aggregator = AlertAggregator(states, subscriptions)
        for index, name in enumerate(errors):
            aggregator.add(event(index, type="error", error_name=f"E{name}"), source(index))
            states.write()

    kept = [state for state in states.stored().values() if one.subscription_id in state.subject]
    assert len(kept) == min(bound, len(set(errors)))
