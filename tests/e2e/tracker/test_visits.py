"""Scripted visits in a real browser, against a collector that loses each third request.

In Chromium, or in Firefox with `HEADRACE_TEST_BROWSER=firefox`.
"""

from collections import Counter
from collections.abc import Callable
from urllib.parse import quote

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from schemas.records import RawEvent
from tests.e2e.tracker import visits
from tests.e2e.tracker.collector import Collector, open_collector, properties_of
from tests.e2e.tracker.shop import BLOG, CHECKOUT_SESSION, Shop, open_shop, tag_of
from tests.e2e.tracker.truth import visible_ms
from tests.e2e.tracker.visitor import Visitor
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(180)

_LATER = "/later"
#: Retries wait for up to a minute.
_SECONDS = 100
_TOLERANCE_MS = 50


def _visit(
    browser: WebDriver,
    visit: Callable[[Visitor], None],
    expected: Counter[str],
    attributes: str = "",
) -> tuple[Collector, Shop]:
    """Make a visit, and a later one, which sends what the first could not; return what arrived."""
    with (
        open_collector(loses_every=3) as collector,
        open_shop(collector.url, tag_of(collector.url, attributes)) as shop,
    ):
        visitor = Visitor(browser, shop)
        visit(visitor)
        visitor.open(_LATER)
        eventually(
            lambda: _types(collector) >= expected,
            within_seconds=_SECONDS,
            what=f"{expected} arrive, not {_types(collector)}",
        )
        visitor.leave()
    assert _types(collector) == expected
    assert not [report for report in shop.life if report["kind"] == "violation"]
    assert collector.lost > 1
    assert collector.preflights == 0
    assert {request["Content-Type"] for request in collector.requests} == {
        "text/plain;charset=UTF-8"
    }
    assert not any("Cookie" in request for request in collector.requests)
    return collector, shop


def _of_visit(collector: Collector) -> list[RawEvent]:
    return [event for event in collector.events if event.path != _LATER]


def _types(collector: Collector) -> Counter[str]:
    """Return the number of events of each type, except vitals, which depend on the browser."""
    types = Counter(event.type for event in _of_visit(collector))
    del types["web_vitals"]
    return types


def _paths(collector: Collector) -> list[str | None]:
    return [event.path for event in _of_visit(collector) if event.type == "pageview"]


def _assert_visible_times(collector: Collector, shop: Shop) -> None:
    """Compare the leaves of each path with the visible time that its pages measured."""
    sent: Counter[str] = Counter()
    for event in _of_visit(collector):
        if event.type == "pageleave":
            sent[str(event.path)] += event.duration_ms or 0
    views = Counter(_paths(collector))
    for path, expected in visible_ms(shop.life).items():
        if path != _LATER:
            assert sent[path] == pytest.approx(expected, abs=_TOLERANCE_MS * views[path]), path


def test_a_visit_on_a_desktop(browser: WebDriver) -> None:
    """14 page views, each event once, whatever is lost; visible times are exact."""
    expected = Counter(
        pageview=14,
        pageleave=16,  # two pages are hidden and shown
        button_click=2,
        copy=1,
        external_link=2,
        custom_event=3,
        form_submit=1,
        identify=1,
        error=2,
        payment=1,
    )

    collector, shop = _visit(browser, visits.shop_on_a_desktop, expected)

    assert _paths(collector) == visits.DESKTOP_VIEWS
    _assert_visible_times(collector, shop)
    events = _of_visit(collector)
    assert {event.session_id for event in events} == {events[0].session_id}
    first = events[0]
    assert first.utm is not None
    assert (first.utm.campaign, first.ad_click_ids) == (
        "spring-2026",
        {"gclid": "EAIaIQobChMI-TEST-gclid"},
    )
    assert first.referrer == f"{shop.partner}/"
    assert first.title == "Page /"
    names = [event.event_name for event in collector.of_type("custom_event")]
    assert Counter(names) == Counter(["download", "signup", "404"])
    assert [event.user_id for event in collector.of_type("identify")] == ["u-42"]
    assert [event.error_message for event in collector.of_type("error")] == [
        "The cart is broken",
        "No such coupon",
    ]
    (payment,) = collector.of_type("payment")
    assert (payment.provider, properties_of(payment)["id"]) == ("stripe", CHECKOUT_SESSION)
    (copied,) = collector.of_type("copy")
    assert properties_of(copied) == {"length": len("Copy these words")}
    (form,) = collector.of_type("form_submit")
    assert properties_of(form)["fields"] == ["email", "name", "csrf", "message"]
    assert "ada@" not in str(collector.events)
    assert "ada%40" not in str(collector.events)


def test_a_visit_on_a_phone(browser: WebDriver) -> None:
    """Twelve events at once, and a route in the hash, which is a page view by option."""
    expected = Counter(
        pageview=4, pageleave=4, button_click=1, custom_event=12, identify=1, payment=1
    )

    collector, shop = _visit(browser, visits.shop_on_a_phone, expected, "data-hash")

    assert _paths(collector) == visits.PHONE_VIEWS
    steps = [properties_of(event)["n"] for event in collector.of_type("custom_event")]
    assert sorted(steps) == list(range(12))
    first = collector.events[0]
    assert first.ad_click_ids == {"fbclid": "IwAR0-TEST-fbclid"}
    assert first.screen is not None
    (loaded, *_) = shop.reports("load", "/pricing")
    assert [first.screen.width, first.screen.viewport_width] == loaded["widths"]


def test_a_visit_with_odd_values(private_browser: WebDriver) -> None:
    """Unicode, odd properties and errors, a reload, a replaced state, and no ids with DNT."""
    expected = Counter(pageview=5, pageleave=5, custom_event=1, identify=1, error=2)

    collector, _ = _visit(private_browser, visits.read_in_german, expected)

    assert _paths(collector) == [quote(BLOG), *visits.READER_VIEWS[1:]]
    (odd,) = collector.of_type("custom_event")
    properties = properties_of(odd)
    assert properties["big"] == "12345678901234567890"
    assert properties["family"] == "👨‍👩‍👧‍👦"
    assert properties["nested"] == {"a": {"b": [1, 2, {"c": "d"}]}}
    assert "ada@example.com" not in str(collector.events)
    (thrown, rejected) = collector.of_type("error")
    assert str(thrown.error_message).endswith("Nur ein Text")
    assert rejected.error_message == "undefined"
    assert {(one.user_id, one.visitor_id) for one in collector.events} == {(None, None)}
    assert not any(event.ad_click_ids for event in collector.events)
