"""A collector that accepts connections and does not respond."""

from collections import Counter

import pytest
from selenium.webdriver import Chrome

from tests.e2e.tracker import visits
from tests.e2e.tracker.collector import open_collector
from tests.e2e.tracker.shop import Shop, open_shop, tag_of
from tests.e2e.tracker.visitor import Visitor
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(180)

_SECONDS = 60


def test_the_page_behaves_as_without_the_tag(chrome: Chrome) -> None:
    """Navigation, events of the page and console are the same; the events arrive later."""
    with open_shop("", "") as shop:
        expected = _look_around(chrome, shop)
    with (
        open_collector() as collector,
        open_shop(collector.url, tag_of(collector.url)) as shop,
    ):
        collector.responds.clear()
        assert _look_around(chrome, shop) == expected
        assert collector.requests
        assert collector.events == []

        collector.responds.set()
        chrome.get(f"{shop.url}/later")
        eventually(
            lambda: len(collector.of_type("pageview")) > len(visits.LOOK_AROUND_VIEWS),
            within_seconds=_SECONDS,
            what="the events arrive",
        )
        views = Counter(event.path for event in collector.of_type("pageview"))
    # Not their order: requests that waited for a connection count as sent by a slow clock.
    assert views == Counter([*visits.LOOK_AROUND_VIEWS, "/later"])


def _look_around(chrome: Chrome, shop: Shop) -> tuple[dict[str, int], list[str]]:
    """Return how often the pages reported what, and the console."""
    visitor = Visitor(chrome, shop)
    visits.look_around(visitor)
    seen = Counter(f"{one['kind']} {one['path']} {one.get('persisted')}" for one in shop.life)
    console = chrome.get_log("browser")  # type: ignore[no-untyped-call]
    return dict(sorted(seen.items())), [entry["message"] for entry in console]
