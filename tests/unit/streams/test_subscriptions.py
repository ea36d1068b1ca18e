"""What changes of subscriptions do to the rules."""

from decimal import Decimal

import pytest

from schemas.alert_rules import BadParamsError
from schemas.records import AlertState, Subscription
from streams.domain.alert_book import AlertBook
from streams.domain.subscriptions import Subscriptions
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import NOON, event, source
from tests.unit.streams.subscribed import subscription

LARGE = subscription("large", "payment", {"min_amount": 100})


def told_of(subscriptions: Subscriptions, name: str = "p") -> list[str | None]:
    """Return whose alerts a payment of 150 raises."""
    book = AlertBook(FakeStates(AlertState), subscriptions)
    paid = event(name, type="payment", amount=Decimal(150), currency="EUR")
    return [alert.subscription_id for alert in book.apply(paid, source(1))]


def with_records(*records: tuple[str, Subscription | None]) -> Subscriptions:
    """Return what is known after these records of the topic."""
    subscriptions = Subscriptions()
    for name, record in records:
        subscriptions.put(name, record)
    return subscriptions


def test_a_subscription_has_alerts_of_its_own_beside_every_sites() -> None:
    """Two for one payment: each is delivered to whom it is for."""
    assert told_of(with_records((LARGE.subscription_id, LARGE))) == [None, LARGE.subscription_id]


@pytest.mark.parametrize(
    "last",
    [
        None,
        subscription("large", "payment", {"min_amount": 100}, enabled=False, updated_at=NOON + 1),
        subscription("large", "payment", {"min_amount": 151}, updated_at=NOON + 1),
        subscription("large", "payment", {"currency": "USD"}, updated_at=NOON + 1),
        subscription("large", "payment", {}, updated_at=NOON + 1),
        subscription("large", "payment", {"min_amount": 1}, site_id="blog", updated_at=NOON + 1),
    ],
    ids=["deleted", "disabled", "larger", "another currency", "as every site's", "another site"],
)
def test_the_last_record_of_a_subscription_holds(last: Subscription | None) -> None:
    """What it does not ask for any more is not raised."""
    name = LARGE.subscription_id

    assert told_of(with_records((name, LARGE), (name, last))) == [None]


def test_a_late_copy_of_an_older_record_changes_nothing() -> None:
    """As when a producer sent one twice."""
    off = subscription("large", "payment", {"min_amount": 1}, enabled=False, updated_at=NOON + 1)
    name = LARGE.subscription_id

    assert told_of(with_records((name, LARGE), (name, off), (name, LARGE))) == [None]


def test_a_record_with_parameters_that_are_none_leaves_what_was_known() -> None:
    """It is told in the log by who follows the topic."""
    subscriptions = with_records((LARGE.subscription_id, LARGE))
    bad = subscription("large", "payment", {"least": 5}, updated_at=NOON + 1)

    with pytest.raises(BadParamsError):
        subscriptions.put(bad.subscription_id, bad)
    assert told_of(subscriptions) == [None, LARGE.subscription_id]


def test_errors_of_the_whole_site_are_counted_together() -> None:
    """Of whatever fingerprint; one alert in a window."""
    any_two = subscription("two", "error.rate", {"count": 2, "per": "site"})
    subscriptions = with_records((any_two.subscription_id, any_two))
    book = AlertBook(FakeStates(AlertState), subscriptions)

    raised = [
        alert.title
        for n in range(4)
        for alert in book.apply(event(n, type="error", error_name=f"E{n}"), source(n))
        if alert.subscription_id
    ]
    assert raised == ["2 errors in 5 minutes: E1"]


def test_one_error_in_one_minute_is_told_in_good_english() -> None:
    """Of one there is one."""
    any_one = subscription("one", "error.rate", {"count": 1, "minutes": 1})
    book = AlertBook(FakeStates(AlertState), with_records((any_one.subscription_id, any_one)))

    raised = book.apply(event(0, type="error", error_name="E"), source(0))
    assert "1 error in 1 minute: E" in [alert.title for alert in raised]
