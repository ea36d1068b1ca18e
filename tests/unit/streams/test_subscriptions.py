"""The effect of changed subscriptions on the rules."""

from decimal import Decimal

import pytest

from schemas.alert_rules import BadParamsError
from schemas.records import AlertState, Subscription
from streams.domain.alerts.aggregator import AlertAggregator
from streams.domain.alerts.subscriptions import Subscriptions
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import NOON, event, source
from tests.unit.streams.subscribed import subscription

ONE = subscription("one", "error.rate", {"count": 1})


def told_of(subscriptions: Subscriptions) -> list[str | None]:
    """Return the subscriptions whose `error.rate` alerts one error raises."""
    aggregator = AlertAggregator(FakeStates(AlertState), subscriptions)
    raised = aggregator.add(event("e", type="error", error_name="E"), source(1))
    return [alert.subscription_id for alert in raised if alert.rule == "error.rate"]


def with_records(*records: tuple[str, Subscription | None]) -> Subscriptions:
    """Return the subscriptions after these records of the topic."""
    subscriptions = Subscriptions()
    for name, record in records:
        subscriptions.put(name, record)
    return subscriptions


def test_a_subscription_with_its_own_threshold_has_its_own_alerts() -> None:
    """They contain its id."""
    assert told_of(with_records((ONE.subscription_id, ONE))) == [ONE.subscription_id]


def test_a_payment_is_one_alert_whatever_subscriptions_there_are() -> None:
    """`min_amount` applies on delivery, so that the rows of `alerts` count payments."""
    large = subscription("large", "payment", {"min_amount": 100})
    euros = subscription("euros", "payment", {"currency": "EUR"})
    subscriptions = with_records((large.subscription_id, large), (euros.subscription_id, euros))
    aggregator = AlertAggregator(FakeStates(AlertState), subscriptions)
    paid = event("p", type="payment", amount=Decimal(150), currency="EUR")

    (alert,) = aggregator.add(paid, source(1))
    assert alert.subscription_id is None


@pytest.mark.parametrize(
    "last",
    [
        None,
        subscription("one", "error.rate", {"count": 1}, enabled=False, updated_at=NOON + 1),
        subscription("one", "error.rate", {"count": 2}, updated_at=NOON + 1),
        subscription("one", "error.rate", {}, updated_at=NOON + 1),
        subscription("one", "error.rate", {"count": 1}, site_id="blog", updated_at=NOON + 1),
    ],
    ids=["deleted", "disabled", "larger", "as every site's", "another site"],
)
def test_the_last_record_of_a_subscription_applies(last: Subscription | None) -> None:
    """Alerts of its previous parameters are not raised any more."""
    name = ONE.subscription_id

    assert told_of(with_records((name, ONE), (name, last))) == []


def test_a_late_copy_of_an_older_record_changes_nothing() -> None:
    """Producers may send a record twice."""
    off = subscription("one", "error.rate", {"count": 1}, enabled=False, updated_at=NOON + 1)
    name = ONE.subscription_id

    assert told_of(with_records((name, ONE), (name, off), (name, ONE))) == []


def test_a_record_with_invalid_parameters_is_skipped() -> None:
    """The global table logs it."""
    subscriptions = with_records((ONE.subscription_id, ONE))
    bad = subscription("one", "error.rate", {"least": 5}, updated_at=NOON + 1)

    with pytest.raises(BadParamsError):
        subscriptions.put(bad.subscription_id, bad)
    assert told_of(subscriptions) == [ONE.subscription_id]


def test_errors_of_the_whole_site_are_counted_together() -> None:
    """With any fingerprints; one alert per window."""
    any_two = subscription("two", "error.rate", {"count": 2, "per": "site"})
    subscriptions = with_records((any_two.subscription_id, any_two))
    aggregator = AlertAggregator(FakeStates(AlertState), subscriptions)

    raised = [
        alert.title
        for n in range(4)
        for alert in aggregator.add(event(n, type="error", error_name=f"E{n}"), source(n))
        if alert.subscription_id
    ]
    assert raised == ["2 errors in 5 minutes: E1"]


def test_the_title_has_singular_forms() -> None:
    """For one error in one minute."""
    any_one = subscription("one", "error.rate", {"count": 1, "minutes": 1})
    aggregator = AlertAggregator(
        FakeStates(AlertState), with_records((any_one.subscription_id, any_one))
    )

    raised = aggregator.add(event(0, type="error", error_name="E"), source(0))
    assert "1 error in 1 minute: E" in [alert.title for alert in raised]
