import json
from decimal import Decimal
from typing import Any
from uuid import uuid5

import pytest
from msgspec.structs import replace

from schemas.alert_rules import ERROR_RATE
from schemas.records import Alert, AlertState
from streams.domain.alerts import aggregator
from streams.domain.alerts.aggregator import AlertAggregator
from streams.domain.alerts.subscriptions import Subscriptions
from streams.engine.capacity import MAX_STATES
from tests import reference
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
        self.book = AlertAggregator(self.states, Subscriptions())
        self.offset = 0

    def restore(self) -> None:
        """Take the states over."""
        for key, state in self.states.stored().items():
            self.book.restore(key, state)
        self.book.evict(MAX_STATES)

    def passes(self, at_ms: int) -> list[Alert]:
        """Let time pass in a batch without an event, and return the digests."""
        self.book.advance(source(self.offset, at_ms))
        return [alert for _, alert in self.book.flush()]

    def happens(self, at_ms: int = NOON_MS, **fields: Any) -> list[Alert]:
        """Apply an event, as a batch of its own, and return the alerts."""
        self.offset += 1
        found = self.book.add(event(self.offset, **fields), source(self.offset, at_ms))
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
        (Decimal("1E+3"), None, "Payment of 1,000.00"),
        (Decimal("1000.000000"), "JPY", "Payment of 1,000 JPY"),
        (Decimal("1.500000"), "KWD", "Payment of 1.500 KWD"),
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


def test_the_details_have_what_a_person_needs_to_act() -> None:
    """Where it happened, and a link; what is not known is left out."""
    site = Site()
    site.book = AlertAggregator(site.states, Subscriptions(), "https://stats.example.com")
    place: dict[str, Any] = {
        "visitor_id": "v-1",
        "url": "https://shop.example/buy?a=1",
        "path": "/buy",
    }
    (failed,) = site.happens(type="error", error_name="E", error_stack="at a (b:1:2)", **place)
    (paid,) = site.happens(
        type="payment", amount=Decimal(5), site_id="a.b", user_id="u-1", trust="key"
    )

    assert json.loads(failed.details) == {
        "error_name": "E",
        "error_stack": "at a (b:1:2)",
        "site_id": "shop",
        "session_id": "s-1",
        "trust": "open",
        "dashboard_url": "https://stats.example.com/?site=shop",
        **place,
    }
    assert json.loads(paid.details)["trust"] == "key"
    assert json.loads(paid.details)["user_id"] == "u-1"
    assert json.loads(paid.details)["dashboard_url"] == "https://stats.example.com/?site=a.b"


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


def test_twenty_new_errors_an_hour_raise_an_alert_each() -> None:
    """A broken release has thousands. What was over the share is new in the next hour, too."""
    site = Site()
    hour_ms = NOON_MS - NOON_MS % HOUR_MS

    first = [site.fails(hour_ms, f"E{number}") for number in range(25)]

    assert first.count(["error.new"]) == 20
    assert site.fails(hour_ms + HOUR_MS, "E24") == ["error.new", "error.new"]  # with the digest
    assert site.fails(hour_ms + HOUR_MS, "E24") == []
    assert site.fails(hour_ms + HOUR_MS, "E25") == ["error.new"]
    assert site.fails(hour_ms + HOUR_MS - 1, "E26", site_id="blog") == ["error.new"]


def test_new_errors_over_the_share_are_in_a_digest_of_the_hour() -> None:
    """Each once, 5 minutes after the hour, though the site has no other error then."""
    site = Site()
    hour_ms = NOON_MS - NOON_MS % HOUR_MS
    for name in [*(f"junk {number}" for number in range(20)), "Real", "Other", "Real"]:
        site.fails(hour_ms + 1, name.replace(" ", chr(97 + len(name))), error_message=None)
    site.book = AlertAggregator(site.states, Subscriptions(), "https://stats.example.com")
    site.restore()

    due_ms = hour_ms + HOUR_MS + 5 * MINUTE_MS
    assert site.passes(due_ms - 1) == []
    site.states.write()
    (digest,) = site.passes(due_ms + 1_000)
    site.states.write()
    assert site.passes(due_ms + 2_000) == []

    assert (digest.rule, digest.subject, digest.event_id) == ("error.new", "more", uuid_of(21))
    assert digest.title == "2 more new errors in the last hour"
    assert digest.raised_at == (hour_ms + HOUR_MS) * 1_000
    assert json.loads(digest.details) == {
        "count": 2,
        "minutes": 60,
        "errors": ["Real", "Other"],
        "site_id": "shop",
        "dashboard_url": "https://stats.example.com/?site=shop",
    }
    assert site.fails(hour_ms + HOUR_MS, "Real", error_message=None) == ["error.new"]


def test_a_flood_of_errors_keeps_states_and_digest_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Invented errors evict none that was reported; over 500, their number is not known."""
    monkeypatch.setattr(aggregator, "MAX_FINGERPRINTS", 1_000)
    monkeypatch.setattr(aggregator, "MAX_UNSEEN_RATES", 100)
    site = Site()
    site.fails(NOON_MS, "Known")
    for number in range(1_200):
        name = "".join(chr(97 + int(digit)) for digit in str(number))
        site.fails(NOON_MS + number // 10, f"Junk{name}")

    (digest,) = site.passes(NOON_MS + 2 * HOUR_MS)
    site.states.write()
    found = json.loads(digest.details)
    assert digest.title == "At least 500 more new errors in the last hour"
    assert (found["count"], len(found["errors"])) == (500, 10)
    assert len(site.states.stored()) <= 2 * 20 + 100 + 2
    assert site.fails(NOON_MS + 3 * HOUR_MS, "Known") == []


def test_ten_errors_within_a_window_are_too_many() -> None:
    """Told once, with the count, and again only half an hour later."""
    site = Site()
    window_ms = NOON_MS - NOON_MS % (5 * MINUTE_MS)

    assert [site.fails(window_ms + second) for second in range(9)] == [["error.new"], *[[]] * 8]
    (alert,) = site.happens(window_ms + 9, type="error", error_name="TypeError")
    assert alert.title == "10 errors in 5 minutes: TypeError"
    assert json.loads(alert.details)["count"] == 10
    assert [site.fails(window_ms + 29 * MINUTE_MS) for _ in range(30)] == [[]] * 30
    # Those of the minute before are in the same window.
    assert site.fails(window_ms + 30 * MINUTE_MS + 9) == ["error.rate"]


@pytest.mark.parametrize("start_ms", [0, 1, 149_999, 299_999, 300_000])
@pytest.mark.parametrize("apart_ms", [5 * MINUTE_MS, 5 * MINUTE_MS + 1])
def test_ten_errors_within_five_minutes_raise_an_alert_wherever_they_begin(
    start_ms: int, apart_ms: int
) -> None:
    """The window slides: no boundary of the clock splits a burst. Exact to the millisecond."""
    site = Site()
    start_ms += NOON_MS - NOON_MS % (5 * MINUTE_MS)
    site.fails(start_ms)
    for _ in range(8):
        assert site.fails(start_ms + 1) == []

    expected = ["error.rate"] if apart_ms == 5 * MINUTE_MS else []
    assert site.fails(start_ms + apart_ms) == expected


def test_the_event_that_reached_the_threshold_names_the_alert() -> None:
    """So a replay makes the same alert, whatever it begins with."""
    site = Site()
    for second in range(9):
        site.fails(NOON_MS + second)
    (alert,) = site.happens(NOON_MS + 9, type="error", error_name="TypeError")

    name = f"shop:error.rate:{alert.subject}:{alert.event_id}"
    assert alert.alert_id == str(uuid5(reference.ALERT_IDS, name))


def test_errors_of_another_partition_may_be_a_window_late() -> None:
    """They count where they belong; those that are later do not count."""
    site = Site()
    for _ in range(5):
        site.fails(NOON_MS)
    for _ in range(4):
        site.fails(NOON_MS + 4 * MINUTE_MS)
    site.fails(NOON_MS + 9 * MINUTE_MS)
    too_late = event("a", type="error", error_name="TypeError")
    late = event("b", type="error", error_name="TypeError")

    assert site.book.add(too_late, source(0, NOON_MS + 4 * MINUTE_MS - 1, partition=1)) == []
    (alert,) = site.book.add(late, source(1, NOON_MS + 4 * MINUTE_MS, partition=1))
    assert (alert.rule, alert.event_id) == ("error.rate", late.event_id)


def test_the_count_of_an_older_version_goes_on() -> None:
    """Its errors count at the time of the last one."""
    site = Site()
    site.fails()
    ((key, state),) = [
        (key, state) for key, state in site.states.stored().items() if state.rule == ERROR_RATE
    ]
    site.states.put(key, replace(state, slot_ms=[], slot_counts=[], window_ms=NOON_MS, count=9))
    site.states.write()

    assert site.fails(NOON_MS + 5 * MINUTE_MS) == ["error.rate"]
    assert site.states.stored()[key].slot_counts == [9, 1]
    assert site.states.stored()[key].count == 0


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
        first = site.book.add(event("x", **fields), source(1))
        site.states.staged.clear()

        assert (
            AlertAggregator(site.states, Subscriptions()).add(event("x", **fields), source(1))
            == first
        )


def test_a_quota_that_was_written_without_its_error_raises_nothing_twice() -> None:
    """A crash between two writes of one batch; the alert had been sent before."""
    site = Site()
    site.book.add(event("x", type="error"), source(1))
    site.states.write(most=1)

    assert (
        AlertAggregator(site.states, Subscriptions()).add(event("x", type="error"), source(1)) == []
    )


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
    site.book.add(late, source(1, NOON_MS, partition=1))

    assert site.fails(NOON_MS + 31 * DAY_MS) == []


@pytest.mark.parametrize("order", [("old", "new", "old"), ("new", "old", "new", "old")])
@pytest.mark.parametrize("kept", ["old", "E1", "E2", "E3", "E4", "E5"])
def test_the_error_not_seen_for_longest_makes_room(
    order: tuple[str, ...], kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker finds that takes over counts by when it was seen; other rules' do not."""
    monkeypatch.setattr(aggregator, "MAX_FINGERPRINTS", 2)
    site = Site()
    order = tuple(kept if name == "old" else name for name in order)
    for second, name in enumerate(order):
        site.fails(NOON_MS + second, name)
    site.book = AlertAggregator(site.states, Subscriptions())
    site.restore()

    site.fails(NOON_MS + 9, "newest")

    rules = [state.rule for state in site.states.stored().values() if state.subject]
    assert sorted(rules) == ["error.new"] * 2 + ["error.rate"] * 2
    assert site.fails(NOON_MS + 10, kept) == []
    assert site.fails(NOON_MS + 11, "new") == ["error.new"]


def test_what_was_not_touched_for_a_month_is_forgotten() -> None:
    """Sites come and go: no state stays for ever, and none that lives is touched."""
    site = Site()
    site.fails(NOON_MS, "Old")
    later = NOON_MS + aggregator.KEPT_MS // 2
    site.fails(later, "New")

    site.passes(NOON_MS + aggregator.KEPT_MS + 1_000)
    site.states.write()

    assert {state.seen_ms for state in site.states.stored().values()} == {later}
    assert len(site.states.stored()) == 3  # the error, its rate, and the site's share of alerts
    site.passes(later + aggregator.KEPT_MS + 1_000)
    site.states.write()
    assert site.states.stored() == {}
