import json
from decimal import Decimal
from typing import Any
from uuid import uuid5

import pytest
from msgspec.structs import replace

from schemas.alert_rules import ERROR_RATE
from schemas.records import Alert, AlertState
from streams.domain.alerts import aggregator as aggregator_module
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
    """The alerts of a site whose events arrive one by one."""

    def __init__(self) -> None:
        self.states = FakeStates(AlertState)
        self.aggregator = AlertAggregator(self.states, Subscriptions())
        self.offset = 0

    def restore(self) -> None:
        """Restore the states."""
        for key, state in self.states.stored().items():
            self.aggregator.restore(key, state)
        self.aggregator.evict(MAX_STATES)

    def passes(self, at_ms: int) -> list[Alert]:
        """Advance stream time by a batch without events, and return the digests."""
        self.aggregator.advance(source(self.offset, at_ms))
        return [alert for _, alert in self.aggregator.flush()]

    def happens(self, at_ms: int = NOON_MS, **fields: Any) -> list[Alert]:
        """Apply an event as one batch, and return the alerts."""
        self.offset += 1
        found = self.aggregator.add(event(self.offset, **fields), source(self.offset, at_ms))
        self.states.write()
        return found

    def fails(self, at_ms: int = NOON_MS, name: str = "TypeError", **fields: Any) -> list[str]:
        """Apply an error, and return the rules of its alerts."""
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
def test_the_title_of_a_payment_has_its_amount(
    amount: Decimal | None, currency: str | None, title: str
) -> None:
    """As people write it, without unknown parts."""
    (alert,) = Site().happens(type="payment", amount=amount, currency=currency, provider="stripe")

    assert (alert.rule, alert.subject, alert.title) == ("payment", "s-1", title)
    assert alert.event_id == uuid_of(1)
    assert alert.raised_at == NOON_MS * 1_000
    assert json.loads(alert.details)["provider"] == "stripe"
    assert ("currency" in json.loads(alert.details)) == (currency is not None)


def test_the_details_have_what_a_person_needs_to_act() -> None:
    """Where it happened, and a link, without unknown fields."""
    site = Site()
    site.aggregator = AlertAggregator(site.states, Subscriptions(), "https://stats.example.com")
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
    """Until 30 days after its last occurrence."""
    site = Site()

    assert site.fails() == ["error.new"]
    assert site.fails(NOON_MS + 29 * DAY_MS) == []
    assert site.fails(NOON_MS + 59 * DAY_MS) == []
    assert site.fails(NOON_MS + 89 * DAY_MS + 1) == ["error.new"]


def test_a_title_is_one_short_line() -> None:
    """Messages of errors may be long and have several lines."""
    (alert,) = Site().happens(type="error", error_name="E", error_message="a\n b\r\n" + "c" * 999)
    (nameless,) = Site().happens(type="error")

    assert alert.title.startswith("New error: E: a b ccc")
    assert len(alert.title) == 200
    assert nameless.title == "New error: without a name"


def test_twenty_new_errors_an_hour_raise_an_alert_each() -> None:
    """A broken release has thousands. The others are new again in the next hour."""
    site = Site()
    hour_ms = NOON_MS - NOON_MS % HOUR_MS

    first = [site.fails(hour_ms, f"E{number}") for number in range(25)]

    assert first.count(["error.new"]) == 20
    assert site.fails(hour_ms + HOUR_MS, "E24") == ["error.new", "error.new"]  # with the digest
    assert site.fails(hour_ms + HOUR_MS, "E24") == []
    assert site.fails(hour_ms + HOUR_MS, "E25") == ["error.new"]
    assert site.fails(hour_ms + HOUR_MS - 1, "E26", site_id="blog") == ["error.new"]


def test_new_errors_over_the_limit_are_in_a_digest_of_the_hour() -> None:
    """Each once, 5 minutes after the hour, even without further errors of the site."""
    site = Site()
    hour_ms = NOON_MS - NOON_MS % HOUR_MS
    for name in [*(f"junk {number}" for number in range(20)), "Real", "Other", "Real"]:
        site.fails(hour_ms + 1, name.replace(" ", chr(97 + len(name))), error_message=None)
    site.aggregator = AlertAggregator(site.states, Subscriptions(), "https://stats.example.com")
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
    """They evict no reported error. Over 500, the digest does not give their number."""
    monkeypatch.setattr(aggregator_module, "MAX_FINGERPRINTS", 1_000)
    monkeypatch.setattr(aggregator_module, "MAX_UNSEEN_RATES", 100)
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


def test_ten_errors_within_a_window_raise_an_alert() -> None:
    """Once, with the count, and again half an hour later at the earliest."""
    site = Site()
    window_ms = NOON_MS - NOON_MS % (5 * MINUTE_MS)

    assert [site.fails(window_ms + second) for second in range(9)] == [["error.new"], *[[]] * 8]
    (alert,) = site.happens(window_ms + 9, type="error", error_name="TypeError")
    assert alert.title == "10 errors in 5 minutes: TypeError"
    assert json.loads(alert.details)["count"] == 10
    assert [site.fails(window_ms + 29 * MINUTE_MS) for _ in range(30)] == [[]] * 30
    # The errors of the previous minute are in the same window.
    assert site.fails(window_ms + 30 * MINUTE_MS + 9) == ["error.rate"]


@pytest.mark.parametrize("start_ms", [0, 1, 149_999, 299_999, 300_000])
@pytest.mark.parametrize("apart_ms", [5 * MINUTE_MS, 5 * MINUTE_MS + 1])
def test_the_window_of_the_error_rate_slides(start_ms: int, apart_ms: int) -> None:
    """No boundary of the clock splits a burst. Exact to the millisecond."""
    site = Site()
    start_ms += NOON_MS - NOON_MS % (5 * MINUTE_MS)
    site.fails(start_ms)
    for _ in range(8):
        assert site.fails(start_ms + 1) == []

    expected = ["error.rate"] if apart_ms == 5 * MINUTE_MS else []
    assert site.fails(start_ms + apart_ms) == expected


def test_the_event_that_reached_the_threshold_names_the_alert() -> None:
    """So a replay raises the same alert, wherever it starts."""
    site = Site()
    for second in range(9):
        site.fails(NOON_MS + second)
    (alert,) = site.happens(NOON_MS + 9, type="error", error_name="TypeError")

    name = f"shop:error.rate:{alert.subject}:{alert.event_id}"
    assert alert.alert_id == str(uuid5(reference.ALERT_IDS, name))


def test_errors_of_another_partition_may_be_late_by_a_window() -> None:
    """They count at their time. Later ones do not count."""
    site = Site()
    for _ in range(5):
        site.fails(NOON_MS)
    for _ in range(4):
        site.fails(NOON_MS + 4 * MINUTE_MS)
    site.fails(NOON_MS + 9 * MINUTE_MS)
    too_late = event("a", type="error", error_name="TypeError")
    late = event("b", type="error", error_name="TypeError")

    assert site.aggregator.add(too_late, source(0, NOON_MS + 4 * MINUTE_MS - 1, partition=1)) == []
    (alert,) = site.aggregator.add(late, source(1, NOON_MS + 4 * MINUTE_MS, partition=1))
    assert (alert.rule, alert.event_id) == ("error.rate", late.event_id)


def test_a_count_of_an_older_schema_version_continues() -> None:
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
    """If they are more than 24 hours old; clamped timestamps are exactly 24 hours old."""
    assert Site().happens(type=kind, received_at=NOON + 24 * HOUR + 1) == []
    assert len(Site().happens(type=kind, received_at=NOON + 24 * HOUR)) == 1


def test_other_events_raise_nothing() -> None:
    """Even if the registry routed them to this agent."""
    assert Site().happens(type="pageview") == []


def test_an_alert_sent_before_a_crash_is_repeated_with_the_same_id() -> None:
    """Outputs are sent before the state is written, so a replay repeats them."""
    for fields in ({"type": "payment"}, {"type": "error"}):
        site = Site()
        first = site.aggregator.add(event("x", **fields), source(1))
        site.states.staged.clear()

        assert (
            AlertAggregator(site.states, Subscriptions()).add(event("x", **fields), source(1))
            == first
        )


def test_a_crash_between_quota_and_error_raises_no_alert_twice() -> None:
    """Only the first of two states of a batch was written; the alert had been sent."""
    site = Site()
    site.aggregator.add(event("x", type="error"), source(1))
    site.states.write(limit=1)

    assert (
        AlertAggregator(site.states, Subscriptions()).add(event("x", type="error"), source(1)) == []
    )


def test_replayed_errors_are_not_counted_again() -> None:
    """Nine errors stay nine after any number of replays."""
    site = Site()
    for _ in range(3):
        site.offset = 0
        assert [rules for _ in range(9) if "error.rate" in (rules := site.fails())] == []

    assert site.fails() == ["error.rate"]


def test_a_late_error_of_another_partition_is_not_new_again() -> None:
    """The last occurrence is the latest one of all partitions."""
    site = Site()
    site.fails(NOON_MS + 20 * DAY_MS)
    late = event("late", type="error", error_name="TypeError")
    site.aggregator.add(late, source(1, NOON_MS, partition=1))

    assert site.fails(NOON_MS + 31 * DAY_MS) == []


@pytest.mark.parametrize("order", [("old", "new", "old"), ("new", "old", "new", "old")])
@pytest.mark.parametrize("kept", ["old", "E1", "E2", "E3", "E4", "E5"])
def test_the_least_recently_seen_error_is_evicted(
    order: tuple[str, ...], kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by the next worker. States of other rules are not counted."""
    monkeypatch.setattr(aggregator_module, "MAX_FINGERPRINTS", 2)
    site = Site()
    order = tuple(kept if name == "old" else name for name in order)
    for second, name in enumerate(order):
        site.fails(NOON_MS + second, name)
    site.aggregator = AlertAggregator(site.states, Subscriptions())
    site.restore()

    site.fails(NOON_MS + 9, "newest")

    rules = [state.rule for state in site.states.stored().values() if state.subject]
    assert sorted(rules) == ["error.new"] * 2 + ["error.rate"] * 2
    assert site.fails(NOON_MS + 10, kept) == []
    assert site.fails(NOON_MS + 11, "new") == ["error.new"]


def test_states_expire_a_month_after_their_last_change() -> None:
    """Only these: states in use stay."""
    site = Site()
    site.fails(NOON_MS, "Old")
    later = NOON_MS + aggregator_module.KEPT_MS // 2
    site.fails(later, "New")

    site.passes(NOON_MS + aggregator_module.KEPT_MS + 1_000)
    site.states.write()

    assert {state.seen_ms for state in site.states.stored().values()} == {later}
    assert len(site.states.stored()) == 3  # the error, its rate, and the site's share of alerts
    site.passes(later + aggregator_module.KEPT_MS + 1_000)
    site.states.write()
    assert site.states.stored() == {}
