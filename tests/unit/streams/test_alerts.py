import json
from decimal import Decimal
from typing import Any

import pytest

from schemas.records import Alert, AlertState
from streams.domain import alert_book
from streams.domain.alert_book import AlertBook
from streams.domain.subscriptions import Subscriptions
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import (
    DAY_MS,
    HOUR,
    HOUR_MS,
    MINUTE_MS,
    NOON,
    NOON_MS,
    event,
    source,
    uuid_of,
)


class Site:
    """One site's alerts, as events come one by one."""

    def __init__(self) -> None:
        self.states = FakeStates(AlertState)
        self.book = AlertBook(self.states, Subscriptions())
        self.offset = 0

    def happens(self, at_ms: int = NOON_MS, **fields: Any) -> list[Alert]:
        """Apply an event, as a batch of its own, and return the alerts."""
        self.offset += 1
        found = self.book.apply(event(self.offset, **fields), source(self.offset, at_ms))
        self.states.write()
        return found

    def fails(self, at_ms: int = NOON_MS, name: str = "TypeError", **fields: Any) -> list[str]:
        """Apply an error, and return the rules of the alerts."""
        alerts = self.happens(at_ms, type="error", error_name=name, **fields)
        return [alert.rule for alert in alerts]


@pytest.mark.parametrize(
    ("amount", "currency", "title"),
    [
        (Decimal("12.500000"), "EUR", "Payment of 12.50 EUR"),
        (Decimal("0.123456"), "BTC", "Payment of 0.123456 BTC"),
        (Decimal("1E+3"), None, "Payment of 1000.00"),
        (Decimal(-5), "USD", "Payment of -5.00 USD"),
        (None, "EUR", "Payment of EUR"),
        (None, None, "Payment"),
    ],
)
def test_each_payment_is_told_with_its_amount(
    amount: Decimal | None, currency: str | None, title: str
) -> None:
    """As people write it; what is not known is left out."""
    (alert,) = Site().happens(type="payment", amount=amount, currency=currency, provider="stripe")

    assert (alert.rule, alert.subject, alert.title) == ("payment", "s-1", title)
    assert alert.event_id == uuid_of(1)
    assert alert.raised_at == NOON_MS * 1_000
    assert json.loads(alert.details)["provider"] == "stripe"
    assert ("currency" in json.loads(alert.details)) == (currency is not None)


def test_an_error_is_new_once() -> None:
    """Until it was not seen for 30 days; each occurrence starts them anew."""
    site = Site()

    assert site.fails() == ["error.new"]
    assert site.fails(NOON_MS + 29 * DAY_MS) == []
    assert site.fails(NOON_MS + 59 * DAY_MS) == []
    assert site.fails(NOON_MS + 89 * DAY_MS + 1) == ["error.new"]


def test_a_title_is_one_short_line() -> None:
    """Messages of errors are neither."""
    (alert,) = Site().happens(type="error", error_name="E", error_message="a\n b\r\n" + "c" * 999)
    (nameless,) = Site().happens(type="error")

    assert alert.title.startswith("New error: E: a b ccc")
    assert len(alert.title) == 200
    assert nameless.title == "New error: without a name"


def test_twenty_new_errors_an_hour_are_told() -> None:
    """A broken release has thousands; the next hour begins anew, for other errors."""
    site = Site()
    hour_ms = NOON_MS - NOON_MS % HOUR_MS

    first = [site.fails(hour_ms, f"E{number}") for number in range(25)]

    assert first.count(["error.new"]) == 20
    assert site.fails(hour_ms + HOUR_MS, "E24") == []
    assert site.fails(hour_ms + HOUR_MS, "E25") == ["error.new"]
    assert site.fails(hour_ms + HOUR_MS - 1, "E26", site_id="blog") == ["error.new"]


def test_ten_errors_within_a_window_are_too_many() -> None:
    """Told once, with the count, and again only half an hour later."""
    site = Site()
    window_ms = NOON_MS - NOON_MS % (5 * MINUTE_MS)

    assert [site.fails(window_ms + second) for second in range(9)] == [["error.new"], *[[]] * 8]
    (alert,) = site.happens(window_ms + 9, type="error", error_name="TypeError")
    assert alert.title == "10 errors in 5 minutes: TypeError"
    assert json.loads(alert.details)["count"] == 10
    assert [site.fails(window_ms + 29 * MINUTE_MS) for _ in range(30)] == [[]] * 30
    later_ms = window_ms + 30 * MINUTE_MS + 9
    assert [site.fails(later_ms) for _ in range(10)] == [*[[]] * 9, ["error.rate"]]


def test_errors_of_two_windows_do_not_add_up() -> None:
    """Windows are aligned on stream time."""
    site = Site()
    window_ms = NOON_MS - NOON_MS % (5 * MINUTE_MS)
    for at_ms in (window_ms - 1, window_ms):
        for _ in range(9):
            assert "error.rate" not in site.fails(at_ms)


def test_an_error_of_a_window_that_another_partition_left_is_not_counted() -> None:
    """It is known, but cannot raise an alert of a window that is over."""
    site = Site()
    for _ in range(9):
        site.fails(NOON_MS)
    late = event("late", type="error", error_name="TypeError")

    assert site.book.apply(late, source(0, NOON_MS - HOUR_MS, partition=1)) == []
    assert site.fails(NOON_MS) == ["error.rate"]


@pytest.mark.parametrize("kind", ["payment", "error"])
def test_old_events_of_an_import_raise_nothing(kind: str) -> None:
    """More than 24 hours old, that is; exactly 24 is what clamping makes of older ones."""
    assert Site().happens(type=kind, received_at=NOON + 24 * HOUR + 1) == []
    assert len(Site().happens(type=kind, received_at=NOON + 24 * HOUR)) == 1


def test_other_events_raise_nothing() -> None:
    """Should the registry send them."""
    assert Site().happens(type="pageview") == []


def test_an_alert_that_left_before_a_crash_leaves_again_as_the_same() -> None:
    """Outputs go before the state: the replay repeats them, under the same ids."""
    for fields in ({"type": "payment"}, {"type": "error"}):
        site = Site()
        first = site.book.apply(event("x", **fields), source(1))
        site.states.staged.clear()

        assert (
            AlertBook(site.states, Subscriptions()).apply(event("x", **fields), source(1)) == first
        )


def test_a_quota_that_was_written_without_its_error_raises_nothing_twice() -> None:
    """A crash between two writes of one batch; the alert had been sent before."""
    site = Site()
    site.book.apply(event("x", type="error"), source(1))
    site.states.write(most=1)

    assert AlertBook(site.states, Subscriptions()).apply(event("x", type="error"), source(1)) == []


def test_errors_that_are_read_again_are_not_counted_again() -> None:
    """Nine stay nine, however often."""
    site = Site()
    for _ in range(3):
        site.offset = 0
        assert [rules for _ in range(9) if "error.rate" in (rules := site.fails())] == []

    assert site.fails() == ["error.rate"]


def test_an_older_error_of_another_partition_does_not_make_one_new_again() -> None:
    """When it was seen last is the latest of all partitions."""
    site = Site()
    site.fails(NOON_MS + 20 * DAY_MS)
    late = event("late", type="error", error_name="TypeError")
    site.book.apply(late, source(1, NOON_MS, partition=1))

    assert site.fails(NOON_MS + 31 * DAY_MS) == []


@pytest.mark.parametrize("order", [("old", "new", "old"), ("new", "old", "new", "old")])
@pytest.mark.parametrize("kept", ["old", "E1", "E2", "E3", "E4", "E5"])
def test_the_error_not_seen_for_longest_makes_room(
    order: tuple[str, ...], kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker finds that takes over counts by when it was seen; other rules' do not."""
    monkeypatch.setattr(alert_book, "MAX_FINGERPRINTS", 2)
    site = Site()
    order = tuple(kept if name == "old" else name for name in order)
    for second, name in enumerate(order):
        site.fails(NOON_MS + second, name)
    site.book = AlertBook(site.states, Subscriptions())
    site.book.know(site.states.stored().values())

    site.fails(NOON_MS + 9, "newest")

    rules = [state.rule for state in site.states.stored().values() if state.subject]
    assert sorted(rules) == ["error.new"] * 2 + ["error.rate"] * 2
    assert site.fails(NOON_MS + 10, kept) == []
    assert site.fails(NOON_MS + 11, "new") == ["error.new"]


def test_what_was_not_touched_for_a_month_is_forgotten() -> None:
    """Sites come and go: no state stays for ever, and none that lives is touched."""
    site = Site()
    site.fails(NOON_MS, "Old")
    later = NOON_MS + alert_book.KEPT_MS // 2
    site.fails(later, "New")

    site.book.end_batch(NOON_MS + alert_book.KEPT_MS + 1_000)
    site.states.write()

    assert {state.seen_ms for state in site.states.stored().values()} == {later}
    assert len(site.states.stored()) == 3  # the error, its rate, and the site's share of alerts
    site.book.end_batch(later + alert_book.KEPT_MS + 1_000)
    site.states.write()
    assert site.states.stored() == {}
