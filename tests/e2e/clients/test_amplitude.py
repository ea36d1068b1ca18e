"""The published clients of Amplitude send each event once, also after errors of the server."""

from pathlib import Path

import pytest

from tests.e2e.clients import packages
from tests.e2e.clients.conftest import OpenPage, after_failures, problems
from tests.e2e.clients.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_NODE = """
import * as amplitude from '@amplitude/analytics-node'
const serverUrl = `${process.env.COLLECTOR}/2/httpapi`
const options = { serverUrl, flushIntervalMillis: 200, flushQueueSize: 20 }
await amplitude.init('shop', options).promise
const results = [
  amplitude.track('[Amplitude] Page Viewed', {}, { user_id: 'u1' }),
  amplitude.identify(new amplitude.Identify().set('plan', 'pro'), { user_id: 'u1' }),
  amplitude.revenue(new amplitude.Revenue().setPrice(29).setQuantity(2), { user_id: 'u1' }),
  ...[...Array(40)].map(() => amplitude.track('burst', {}, { user_id: 'u1' })),
]
const codes = new Set((await Promise.all(results.map(one => one.promise))).map(one => one.code))
console.log(...codes)
"""
_PYTHON = """
import os
import threading
from amplitude import Amplitude, BaseEvent, EventOptions, Identify, Revenue

codes = []
done = threading.Event()

def count(event, code, message):
    codes.append(code)
    if len(codes) == 43:
        done.set()

client = Amplitude("shop")
client.configuration.server_url = os.environ["COLLECTOR"] + "/2/httpapi"
client.configuration.flush_interval_millis = 200
client.configuration.flush_queue_size = 20
client.configuration.callback = count
client.track(BaseEvent("[Amplitude] Page Viewed", user_id="u1"))
identify = Identify()
identify.set("plan", "pro")
client.identify(identify, EventOptions(user_id="u1"))
client.revenue(Revenue(29.0, 2), EventOptions(user_id="u1"))
for _ in range(40):
    client.track(BaseEvent("burst", user_id="u1"))
assert done.wait(60)
print(*set(codes))
client.shutdown()
"""
_BROWSER = """
import * as amplitude from '@amplitude/analytics-browser'
const serverUrl = COLLECTOR + '/2/httpapi'
const quiet = { fetchRemoteConfig: false, enableDiagnostics: false, flushIntervalMillis: 200 }
amplitude.init('shop', 'u1', { serverUrl, ...quiet, autocapture: { attribution: false } })
amplitude.revenue(new amplitude.Revenue().setPrice(29).setCurrency('EUR'))
"""
_SERVER_TYPES = [*(["custom_event"] * 40), "identify", "pageview", "payment"]


@after_failures
def test_analytics_node(server: Server, tmp_path: Path, failures: int) -> None:
    """It reads the code of the body."""
    server.fail(failures)

    said = packages.node(_NODE, tmp_path, server.url, "@amplitude/analytics-node@1.5.73")

    assert "200" in said.splitlines()
    assert sorted(event.type for event in server.wait_for(43)) == _SERVER_TYPES


@after_failures
def test_analytics_python(server: Server, tmp_path: Path, failures: int) -> None:
    """It sends from several threads."""
    server.fail(failures)

    said = packages.python(_PYTHON, tmp_path, server.url, "amplitude-analytics==1.3.0")

    assert "200" in said.splitlines()
    assert sorted(event.type for event in server.wait_for(43)) == _SERVER_TYPES


@after_failures
def test_analytics_browser(server: Server, open_page: OpenPage, failures: int) -> None:
    """A visit begins with `session_start`, and lasts over pages."""
    server.fail(failures)

    chrome = open_page(_BROWSER, "@amplitude/analytics-browser@2.48.1")
    server.wait_for(3)
    chrome.get(chrome.current_url.replace("first", "second"))
    events = server.wait_for(5)

    assert problems(chrome) == []
    types = sorted(event.type for event in events)
    assert types == ["custom_event", *2 * ["pageview"], *2 * ["payment"]]
    assert {event.site_id for event in events} == {"shop"}
    assert len({event.session_id for event in events}) == 1
