"""The published clients of RudderStack send each event once, also after errors of the server."""

from pathlib import Path

import pytest

from tests.e2e.clients import packages
from tests.e2e.clients.conftest import OpenPage, after_failures, events_of_two_pages
from tests.e2e.clients.server import Server
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_NODE = """
import RudderAnalytics from '@rudderstack/rudder-sdk-node'
const client = new RudderAnalytics('shop', { dataPlaneUrl: process.env.COLLECTOR })
client.page({ anonymousId: 'ann', properties: { url: 'https://shop.example/pricing' } })
client.identify({ userId: 'u1', traits: { plan: 'pro' } })
const order = { revenue: 29, currency: 'EUR' }
client.track({ userId: 'u1', event: 'Order Completed', properties: order })
for (let i = 0; i < 40; i++) client.track({ userId: 'u1', event: 'burst', properties: { i } })
while (client.queue.length) await client.flush()
await client.flush()
"""
_PYTHON = """
import os
from rudderstack import analytics

analytics.write_key = "shop"
analytics.dataPlaneUrl = os.environ["COLLECTOR"]
analytics.on_error = lambda error, batch: os._exit(1)
analytics.page("u1", "docs", "Pricing", {"url": "https://shop.example/pricing"})
analytics.identify("u1", {"plan": "pro"})
analytics.track("u1", "Order Completed", {"revenue": 29, "currency": "EUR"})
for i in range(40):
    analytics.track("u1", "burst", {"i": i})
analytics.shutdown()
"""
_BROWSER = """
import { RudderAnalytics } from '@rudderstack/analytics-js/bundled'
const analytics = new RudderAnalytics()
analytics.load('shop', COLLECTOR, { configUrl: COLLECTOR })
analytics.page()
analytics.identify('u1', { plan: 'pro' })
analytics.track('Order Completed', { revenue: 29, currency: 'EUR' })
"""


@after_failures
def test_rudder_sdk_node(server: Server, tmp_path: Path, failures: int) -> None:
    """Compressed requests; the process ends as it should."""
    server.fail(failures)

    packages.node(_NODE, tmp_path, server.url, "@rudderstack/rudder-sdk-node@3.0.13")

    assert len(server.wait_for(43)) == 43


def test_a_rejection_does_not_end_the_process_of_rudder_sdk_node(
    server: Server, tmp_path: Path
) -> None:
    """It ends at any 4xx, so that the response to a wrong site is another."""
    script = _NODE.replace("'shop'", "'not a site'")

    packages.node(script, tmp_path, server.url, "@rudderstack/rudder-sdk-node@3.0.13")

    assert set(server.statuses()) == {200}
    assert server.events() == []


@after_failures
def test_rudder_sdk_python(server: Server, tmp_path: Path, failures: int) -> None:
    """It repeats whatever is not answered with 200."""
    server.fail(failures)

    packages.python(_PYTHON, tmp_path, server.url, "rudder-sdk-python==2.1.9")

    assert len(server.wait_for(43)) == 43


@after_failures
def test_analytics_js(server: Server, open_page: OpenPage, failures: int) -> None:
    """It starts with the configuration of the server."""
    server.fail(failures)

    chrome = open_page(_BROWSER, "@rudderstack/analytics-js@3.34.1")
    events = events_of_two_pages(server, chrome)

    assert {event.site_id for event in events} == {"shop"}
    assert len({event.session_id for event in events}) == 1


def test_analytics_js_with_beacons(server: Server, open_page: OpenPage) -> None:
    """Its times on the page become page leaves."""
    options = "autoTrack: { enabled: true }, useBeacon: true"
    script = _BROWSER.replace("configUrl: COLLECTOR", f"configUrl: COLLECTOR, {options}")
    script += "analytics.ready(() => { document.title = 'Ready' })"

    chrome = open_page(script, "@rudderstack/analytics-js@3.34.1")
    eventually(lambda: chrome.title == "Ready", within_seconds=60, what="the client started")
    chrome.get(chrome.current_url.replace("first", "second"))
    events = {event.type: event for event in server.wait_for(4)}

    assert set(events) == {"pageview", "identify", "payment", "pageleave"}
    assert (events["pageleave"].duration_ms or 0) > 0
