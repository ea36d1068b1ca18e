"""The published clients of Segment send each event once, also after errors of the server."""

from pathlib import Path

import pytest

from tests.e2e.clients import packages
from tests.e2e.clients.conftest import OpenPage, after_failures, events_of_two_pages
from tests.e2e.clients.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_NODE = """
import { Analytics } from '@segment/analytics-node'
const analytics = new Analytics({ writeKey: 'shop', host: process.env.COLLECTOR })
analytics.on('error', error => { console.error(error); process.exitCode = 1 })
const order = { revenue: 29, currency: 'EUR' }
analytics.page({ anonymousId: 'ann', properties: { url: 'https://shop.example/pricing' } })
analytics.identify({ userId: 'u1', traits: { plan: 'pro' } })
analytics.track({ userId: 'u1', event: 'Order Completed', properties: order })
for (let i = 0; i < 40; i++) analytics.track({ userId: 'u1', event: 'burst', properties: { i } })
await analytics.closeAndFlush({ timeout: 60000 })
"""
_PYTHON = """
import os
from segment import analytics

analytics.write_key = "shop"
analytics.host = os.environ["COLLECTOR"]
analytics.gzip = True
analytics.on_error = lambda error, batch: os._exit(1)
analytics.page(anonymous_id="ann", properties={"url": "https://shop.example/pricing"})
analytics.identify("u1", {"plan": "pro"})
analytics.track("u1", "Order Completed", {"revenue": 29, "currency": "EUR"})
for i in range(40):
    analytics.track("u1", "burst", {"i": i})
analytics.shutdown()
"""
_BROWSER = """
import { AnalyticsBrowser } from '@segment/analytics-next'
const analytics = AnalyticsBrowser.load({ writeKey: 'shop', cdnURL: COLLECTOR })
analytics.page()
analytics.identify('u1', { plan: 'pro' })
analytics.track('Order Completed', { revenue: 29, currency: 'EUR' })
"""


@after_failures
def test_analytics_node(server: Server, tmp_path: Path, failures: int) -> None:
    """Events that do not fit into one request."""
    server.fail(failures)

    said = packages.node(_NODE, tmp_path, server.url, "@segment/analytics-node@3.1.0")

    assert said == ""
    assert len(server.wait_for(43)) == 43


@after_failures
def test_analytics_python(server: Server, tmp_path: Path, failures: int) -> None:
    """Compressed requests."""
    server.fail(failures)

    packages.python(_PYTHON, tmp_path, server.url, "segment-analytics-python==2.4.0")

    assert len(server.wait_for(43)) == 43


@after_failures
def test_analytics_next(server: Server, open_page: OpenPage, failures: int) -> None:
    """Its settings are all that it needs to know the server."""
    server.fail(failures)

    chrome = open_page(_BROWSER, "@segment/analytics-next@1.84.3")
    events = events_of_two_pages(server, chrome)

    assert {event.site_id for event in events} == {"shop"}
    assert len({event.session_id for event in events}) == 1
