"""The published client of Jitsu sends each event once. It does not repeat failed requests."""

from pathlib import Path

import pytest

from tests.e2e.clients import packages
from tests.e2e.clients.conftest import OpenPage, events_of_two_pages, problems
from tests.e2e.clients.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_CALLS = """
await jitsu.page({ url: 'https://shop.example/pricing' })
await jitsu.identify('u1', { plan: 'pro' })
await jitsu.track('Order Completed', { revenue: 29, currency: 'EUR' })
"""
_BROWSER = f"""
import {{ jitsuAnalytics }} from '@jitsu/js'
const options = {{ writeKey: 'shop:secret', cookieDomain: location.hostname }}
const jitsu = jitsuAnalytics({{ host: COLLECTOR, ...options }})
async function calls() {{ {_CALLS} }}
calls()
"""
_NODE = f"""
import {{ jitsuAnalytics }} from '@jitsu/js'
const options = {{ writeKey: 'shop:secret', s2s: true, errorPolicy: 'rethrow' }}
const jitsu = jitsuAnalytics({{ host: process.env.COLLECTOR, ...options }})
{_CALLS}
"""
_PACKAGE = "@jitsu/js@1.11.0"


def test_jitsu_js_in_node(server: Server, tmp_path: Path) -> None:
    """It reports any error of the server, and there is none."""
    said = packages.node(_NODE, tmp_path, server.url, _PACKAGE)

    assert said == ""
    assert [event.type for event in server.wait_for(3)] == ["pageview", "identify", "payment"]
    assert {event.site_id for event in server.events()} == {"shop"}


def test_jitsu_js_in_a_browser(server: Server, open_page: OpenPage) -> None:
    """Events of two pages belong to one visitor."""
    chrome = open_page(_BROWSER, _PACKAGE)
    events = events_of_two_pages(server, chrome)

    assert len({event.visitor_id for event in events}) == 1


def test_jitsu_js_goes_on_after_an_error(server: Server, open_page: OpenPage) -> None:
    """The event is lost, as with Jitsu itself; the next ones are not."""
    server.fail(1)

    chrome = open_page(_BROWSER, _PACKAGE)

    assert [event.type for event in server.wait_for(2)] == ["identify", "payment"]
    assert server.statuses() == [503, 200, 200]
    (problem,) = problems(chrome)
    assert "The server is shutting down" in problem
