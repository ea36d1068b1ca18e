"""The published trackers of Snowplow send each event once, also after errors of the server."""

from pathlib import Path

import pytest

from schemas.records import RawEvent
from tests.e2e.clients import packages
from tests.e2e.clients.conftest import OpenPage, after_failures, problems
from tests.e2e.clients.server import Server
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_NODE = """
import {
  buildPageView, buildSelfDescribingEvent, buildStructEvent, newTracker
} from '@snowplow/node-tracker'
const { hostname, port } = new URL(process.env.COLLECTOR)
const eventMethod = 'post'
const tracker = newTracker(
  { namespace: 'sp', appId: 'shop', encodeBase64: true },
  { endpoint: hostname, port, protocol: 'http', eventMethod, bufferSize: 1000 }
)
tracker.setUserId('ada')
tracker.track(buildPageView({ pageUrl: 'https://shop.example/pricing', pageTitle: 'Pricing' }))
const signup = { schema: 'iglu:com.acme/signup/jsonschema/1-0-0', data: { plan: 'naïve' } }
tracker.track(buildSelfDescribingEvent({ event: signup }))
for (let i = 0; i < 40; i++) {
  tracker.track(buildStructEvent({ category: 'app', action: 'burst', value: i }))
}
for (let i = 0; i < 3; i++) await tracker.flush()
"""
_PYTHON = """
import os
import threading
from urllib.parse import urlsplit

from snowplow_tracker import (
    Emitter, PageView, SelfDescribing, SelfDescribingJson, StructuredEvent, Subject, Tracker
)

sent = threading.Semaphore(0)
collector = urlsplit(os.environ["COLLECTOR"])
emitter = Emitter(
    collector.hostname,
    protocol="http",
    port=collector.port,
    batch_size=60,
    max_retry_delay_seconds=1,
    on_success=lambda events: sent.release(len(events)),
)
tracker = Tracker("sp", emitter, subject=Subject().set_user_id("ada"), app_id="shop")
tracker.track(PageView("https://shop.example/pricing", page_title="Pricing"))
signup = SelfDescribingJson("iglu:com.acme/signup/jsonschema/1-0-0", {"plan": "naïve"})
tracker.track(SelfDescribing(signup))
for i in range(40):
    tracker.track(StructuredEvent("app", "burst", value=i))
tracker.flush()
for _ in range(42):
    assert sent.acquire(timeout=60)
"""
_BROWSER = """
import {
  newTracker, trackPageView, trackSelfDescribingEvent, trackStructEvent
} from '@snowplow/browser-tracker'
newTracker('sp', COLLECTOR, { appId: 'shop', contexts: { session: true, browser: true } })
trackPageView()
const signup = { schema: 'iglu:com.acme/signup/jsonschema/1-0-0', data: { plan: 'naïve' } }
trackSelfDescribingEvent({ event: signup })
trackStructEvent({ category: 'app', action: 'signup', value: 3 })
"""


@after_failures
def test_node_tracker(server: Server, tmp_path: Path, failures: int) -> None:
    """A batch in base64."""
    server.fail(failures)

    said = packages.node(_NODE, tmp_path, server.url, "@snowplow/node-tracker@4.8.0")
    events = server.wait_for(42)

    assert said == ""
    assert server.statuses() == failures * [503] + [200]
    assert {(event.site_id, event.user_id) for event in events} == {("shop", "ada")}
    assert {event.time_source for event in events} == {"client"}


def test_node_tracker_by_get(server: Server, tmp_path: Path) -> None:
    """A request for each event."""
    script = _NODE.replace("'post'", "'get'")

    packages.node(script, tmp_path, server.url, "@snowplow/node-tracker@4.8.0")

    server.wait_for(42)
    assert server.statuses("GET") == 42 * [200]


@after_failures
def test_python_tracker(server: Server, tmp_path: Path, failures: int) -> None:
    """It sends again after a second, with the clock of that time."""
    server.fail(failures)

    packages.python(_PYTHON, tmp_path, server.url, "snowplow-tracker==1.1.0")
    events = server.wait_for(42)

    assert server.statuses() == failures * [503] + [200]
    assert {(event.site_id, event.user_id) for event in events} == {("shop", "ada")}


@after_failures
def test_browser_tracker(server: Server, open_page: OpenPage, failures: int) -> None:
    """It keeps what was not accepted, or not answered when the page was left, for the next page."""
    server.fail(failures)

    def by_id() -> dict[str, RawEvent]:
        return {event.event_id: event for event in server.events()}

    chrome = open_page(_BROWSER, "@snowplow/browser-tracker@4.10.1")
    eventually(server.statuses, within_seconds=60, what="the first page sends")
    chrome.get(chrome.current_url.replace("first", "second"))
    eventually(lambda: len(by_id()) == 6, within_seconds=60, what="6 events are stored")

    events = by_id().values()
    types = sorted(event.type for event in events)
    assert problems(chrome) == []
    assert server.statuses().count(503) == failures
    assert types == [*4 * ["custom_event"], *2 * ["pageview"]]
    assert {event.site_id for event in events} == {"shop"}
    assert len({event.session_id for event in events}) == 1
    assert len({event.visitor_id for event in events}) == 1
